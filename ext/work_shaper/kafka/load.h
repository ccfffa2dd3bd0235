/*
 * load - how much a manager that is fed by a poll loop holds: messages and bytes, in all and by partition.
 */
#ifndef WORK_SHAPER_KAFKA_LOAD_H
#define WORK_SHAPER_KAFKA_LOAD_H

#include <ruby/ruby.h>

/*
 * init_load - Defines the methods of Feeding that say so.
 */
void init_load(VALUE feeding);

#endif
