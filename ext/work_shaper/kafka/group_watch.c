#include "group_watch.h"

#include "../ruby/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME "work_shaper"
/* Nanoseconds between two requests to join at least, as librdkafka has it. */
#define JOIN_INTERVAL NANOSECONDS_PER_SECOND
/* Numbers of Kafka's requests. */
#define JOIN_GROUP 11
#define HEARTBEAT 12

/* A request has been written. */
static int note_sent(rd_kafka_t *client, int socket, const char *broker, int32_t broker_id, int16_t request,
                     int16_t version, int32_t correlation, size_t size, void *data) {
    struct group_watch *watch = data;
    (void)client, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    if (request == JOIN_GROUP) {
        atomic_store(&watch->join_sent_at, clock_nanoseconds());
    } else if (request == HEARTBEAT) {
        atomic_store(&watch->heartbeat_sent_at, clock_nanoseconds());
    }
    return 0;
}

/* The answer to a request has come, or never will. librdkafka's main thread is told next. */
static int note_answered(rd_kafka_t *client, int socket, const char *broker, int32_t broker_id, int16_t request,
                         int16_t version, int32_t correlation, size_t size, int64_t duration, int error, void *data) {
    struct group_watch *watch = data;
    (void)client, (void)socket, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
    (void)duration, (void)error;
    if (request == HEARTBEAT) {
        atomic_store(&watch->heartbeat_answered_at, clock_nanoseconds());
    }
    return 0;
}

static int watch_client(rd_kafka_t *client, const rd_kafka_conf_t *conf, void *data, char *reason, size_t size) {
    struct group_watch *watch = data;
    (void)conf;
    int error = watch->library->interceptor_add_on_request_sent(client, NAME, note_sent, watch);
    if (!error) {
        error = watch->library->interceptor_add_on_response_received(client, NAME, note_answered, watch);
    }
    if (error) {
        snprintf(reason, size, "requests to the group cannot be watched");
    }
    return error;
}

struct group_watch *group_watch_new(const struct librdkafka *library, rd_kafka_conf_t *conf) {
    struct group_watch *watch = calloc(1, sizeof *watch);
    if (!watch) {
        return NULL;
    }
    watch->library = library;
    if (library->conf_interceptor_add_on_new(conf, NAME, watch_client, watch)) {
        free(watch);
        return NULL;
    }
    return watch;
}

bool group_watch_quiet(const struct group_watch *watch, uint64_t since) {
    uint64_t answered_at = atomic_load(&watch->heartbeat_answered_at);
    return atomic_load(&watch->heartbeat_sent_at) <= answered_at && answered_at < since &&
           atomic_load(&watch->join_sent_at) + JOIN_INTERVAL < since;
}
