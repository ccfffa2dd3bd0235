/*
 * feed - how a batch of Kafka messages gets into a manager.
 */
#ifndef WORK_SHAPER_KAFKA_FEED_H
#define WORK_SHAPER_KAFKA_FEED_H

#include <ruby/ruby.h>

/*
 * init_feed - Defines the private methods of Manager that a consumer's poll loop calls.
 */
void init_feed(VALUE manager_class);

#endif
