/*
 * librdkafka - what we use of it: its public binary interface, as rdkafka.h of every version since 2.1 has it.
 *
 * Nothing is linked: the functions are those of the library that the rdkafka gem has loaded, found by its FFI.
 */
#ifndef WORK_SHAPER_KAFKA_LIBRDKAFKA_H
#define WORK_SHAPER_KAFKA_LIBRDKAFKA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_headers_s rd_kafka_headers_t;

typedef struct rd_kafka_message_s {
    int err; /* 0, or an error code; then `payload` is a text about the error */
    rd_kafka_topic_t *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *private_data;
} rd_kafka_message_t;

typedef struct rd_kafka_topic_partition_s {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata;
    size_t metadata_size;
    void *opaque;
    int err;
    void *private_data;
} rd_kafka_topic_partition_t;

typedef struct rd_kafka_topic_partition_list_s {
    int cnt;
    int size;
    rd_kafka_topic_partition_t *elems;
} rd_kafka_topic_partition_list_t;

/* Interceptors: what librdkafka calls on its own threads. They return an error code. */
typedef int rd_kafka_on_new_t(rd_kafka_t *, const rd_kafka_conf_t *, void *data, char *reason, size_t size);
typedef int rd_kafka_on_request_sent_t(rd_kafka_t *, int socket, const char *broker, int32_t broker_id, int16_t request,
                                       int16_t version, int32_t correlation, size_t size, void *data);
typedef int rd_kafka_on_response_received_t(rd_kafka_t *, int socket, const char *broker, int32_t broker_id,
                                            int16_t request, int16_t version, int32_t correlation, size_t size,
                                            int64_t duration, int error, void *data);

/* X(name, result, parameters...) for every function, without its prefix rd_kafka_. */
#define LIBRDKAFKA_FUNCTIONS(X)                                                                                        \
    X(conf_interceptor_add_on_new, int, rd_kafka_conf_t *, const char *name, rd_kafka_on_new_t *, void *data)          \
    X(interceptor_add_on_request_sent, int, rd_kafka_t *, const char *name, rd_kafka_on_request_sent_t *, void *data)  \
    X(interceptor_add_on_response_received, int, rd_kafka_t *, const char *name, rd_kafka_on_response_received_t *,    \
      void *data)                                                                                                      \
    X(destroy, void, rd_kafka_t *)                                                                                     \
    X(queue_get_consumer, rd_kafka_queue_t *, rd_kafka_t *)                                                            \
    X(queue_destroy, void, rd_kafka_queue_t *)                                                                         \
    X(queue_yield, void, rd_kafka_queue_t *)                                                                           \
    X(consume_batch_queue, ssize_t, rd_kafka_queue_t *, int timeout_ms, rd_kafka_message_t **, size_t)                 \
    X(message_destroy, void, rd_kafka_message_t *)                                                                     \
    X(message_timestamp, int64_t, const rd_kafka_message_t *, int *type)                                               \
    X(message_leader_epoch, int32_t, const rd_kafka_message_t *)                                                       \
    X(message_headers, int, const rd_kafka_message_t *, rd_kafka_headers_t **)                                         \
    X(header_get_all, int, const rd_kafka_headers_t *, size_t index, const char **name, const void **value,            \
      size_t *size)                                                                                                    \
    X(topic_name, const char *, const rd_kafka_topic_t *)                                                              \
    X(topic_partition_list_new, rd_kafka_topic_partition_list_t *, int size)                                           \
    X(topic_partition_list_add, rd_kafka_topic_partition_t *, rd_kafka_topic_partition_list_t *, const char *topic,    \
      int32_t partition)                                                                                               \
    X(topic_partition_list_copy, rd_kafka_topic_partition_list_t *, const rd_kafka_topic_partition_list_t *)           \
    X(topic_partition_list_del, int, rd_kafka_topic_partition_list_t *, const char *topic, int32_t partition)          \
    X(topic_partition_list_destroy, void, rd_kafka_topic_partition_list_t *)                                           \
    X(offsets_store, int, rd_kafka_t *, rd_kafka_topic_partition_list_t *)                                             \
    X(committed, int, rd_kafka_t *, rd_kafka_topic_partition_list_t *, int timeout_ms)                                 \
    X(commit, int, rd_kafka_t *, const rd_kafka_topic_partition_list_t *, int asynchronous)                            \
    X(get_watermark_offsets, int, rd_kafka_t *, const char *topic, int32_t partition, int64_t *low, int64_t *high)

/* The functions of one loaded library. */
struct librdkafka {
#define LIBRDKAFKA_MEMBER(name, result, ...) result (*name)(__VA_ARGS__);
    LIBRDKAFKA_FUNCTIONS(LIBRDKAFKA_MEMBER)
#undef LIBRDKAFKA_MEMBER
};

#endif
