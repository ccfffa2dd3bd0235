/*
 * feed - how a batch of Kafka messages gets into a manager.
 */
#ifndef WORK_SHAPER_KAFKA_FEED_H
#define WORK_SHAPER_KAFKA_FEED_H

#include <ruby/ruby.h>

/*
 * init_feed - Defines WorkShaper::Feeding: the additional methods of a manager that is fed by a poll loop.
 */
void init_feed(VALUE work_shaper);

#endif
