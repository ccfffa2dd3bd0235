/*
 * message - WorkShaper::Message: one Kafka message as a Ruby object.
 *
 * Made for every message, so it does at once only what cannot wait: one object, and one piece of memory with copies of
 * the message's bytes. What Ruby sees of them (Strings, a Time, the Hash of headers) is made on first use and kept.
 */
#ifndef WORK_SHAPER_KAFKA_MESSAGE_H
#define WORK_SHAPER_KAFKA_MESSAGE_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

#include "librdkafka.h"

/*
 * message_from_native - A new WorkShaper::Message with copies of all it keeps; the caller destroys `native`, which must
 * be a message, not an error (`err` is 0). `topic` is a frozen String. Raises NoMemoryError; nothing is left behind
 * then. If librdkafka cannot read the headers, that raises only when someone asks for them.
 */
VALUE message_from_native(const struct librdkafka *library, const rd_kafka_message_t *native, VALUE topic);

/*
 * message_is - Whether the object is a WorkShaper::Message.
 */
bool message_is(VALUE object);

/*
 * message_key - As Message#key: String or nil, the same String each time. Raises NoMemoryError.
 */
VALUE message_key(VALUE self);

/*
 * message_weight - How many bytes its payload, key and headers had when it came; 0 for what is no message. Runs no Ruby
 * code.
 */
size_t message_weight(VALUE object);

VALUE message_topic(VALUE self);
int32_t message_partition(VALUE self);
int64_t message_offset(VALUE self);
int32_t message_leader_epoch(VALUE self); /* -1: none */

/*
 * message_fingerprint - What tells a message from another one that has its topic, partition and offset in another log:
 * its timestamp in milliseconds, -1 for none, and a hash of its key and payload, the same on every machine. 1 ms for a
 * megabyte. Of a payload from 4 kB on, or an empty one, that was changed in place it is the changed one's.
 */
uint32_t message_fingerprint(VALUE self, int64_t *timestamp);

/* Defines the class. */
void init_message(VALUE work_shaper);

#endif
