/*
 * checkpoint - what a commit of a partition should say: the frontier, and what is finished beyond it.
 */
#ifndef WORK_SHAPER_KAFKA_CHECKPOINT_H
#define WORK_SHAPER_KAFKA_CHECKPOINT_H

#include <ruby/ruby.h>

/*
 * init_checkpoint - Defines Feeding#checkpoint.
 */
void init_checkpoint(VALUE feeding);

#endif
