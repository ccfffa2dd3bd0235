/*
 * group_watch - when a client joins its group and sends heartbeats, as librdkafka's interceptors see it on the wire.
 *
 * A commit of the classic protocol that is sent behind the client's own request to join is out of date when the broker
 * reads it, and librdkafka then gives up all partitions. It begins to join when the answer to a heartbeat says so: at
 * once, or, if it has joined within a second, when that is over. Nothing in its interface tells.
 */
#ifndef WORK_SHAPER_KAFKA_GROUP_WATCH_H
#define WORK_SHAPER_KAFKA_GROUP_WATCH_H

#include "librdkafka.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Written by librdkafka's threads, from before the client is there until it is destroyed. Times are nanoseconds of the
 * monotonic clock (ruby/clock.h), 0: never. */
struct group_watch {
    const struct librdkafka *library;
    _Atomic uint64_t join_sent_at;
    _Atomic uint64_t heartbeat_sent_at;
    _Atomic uint64_t heartbeat_answered_at;
};

/*
 * group_watch_new - Watches the client that is made with a configuration.
 *
 * library: must stay where it is until the client is there.
 * Returns NULL when there is no memory, or librdkafka refuses. To be freed with free() once the client is destroyed.
 */
struct group_watch *group_watch_new(const struct librdkafka *library, rd_kafka_conf_t *conf);

/*
 * group_watch_quiet - Whether a commit that is sent now goes ahead of any request to join.
 *
 * since: nanoseconds, when the client was asked for something that goes through its main thread, before it was asked
 * for something that went to the coordinator and back. Whatever a heartbeat said before that has had its consequences.
 */
bool group_watch_quiet(const struct group_watch *watch, uint64_t since);

#endif
