#include "message_fields.h"

#include <string.h>

#define ERR_NOENT (-156) /* there is none, or no more */

/* From this size on a payload becomes a String at once: copying it twice would cost more than a String that nobody asks
 * for. */
#define LARGE_PAYLOAD 4096u

struct native_headers {
    rd_kafka_headers_t *list;
    uint32_t count;
    size_t size; /* of all of them, as in `bytes` */
    int err;
};

static struct native_headers measure_headers(const struct librdkafka *library, const rd_kafka_message_t *native) {
    struct native_headers headers = {.list = NULL};
    headers.err = library->message_headers(native, &headers.list);
    while (!headers.err) {
        const char *name;
        const void *value;
        size_t size;
        headers.err = library->header_get_all(headers.list, headers.count, &name, &value, &size);
        if (!headers.err) {
            headers.size += sizeof(struct header_frame) + strlen(name) + (value ? size : 0);
            headers.count++;
        }
    }
    if (headers.err == ERR_NOENT) {
        headers.err = 0;
        return headers;
    }
    return (struct native_headers){.err = headers.err};
}

static char *append(char *position, const void *bytes, size_t size) {
    if (size > 0) {
        memcpy(position, bytes, size);
    }
    return position + size;
}

static void append_headers(char *position, const struct librdkafka *library, const struct native_headers *headers) {
    for (uint32_t i = 0; i < headers->count; i++) {
        const char *name = "";
        const void *value = NULL;
        size_t size = 0;
        library->header_get_all(headers->list, i, &name, &value, &size);
        struct header_frame frame = {.name_size = (uint32_t)strlen(name),
                                     .value_size = value ? (uint32_t)size : NO_VALUE};
        position = append(position, &frame, sizeof frame);
        position = append(position, name, frame.name_size);
        position = append(position, value, value ? size : 0);
    }
}

static VALUE headers_at_first(const struct native_headers *headers) {
    if (headers->err) {
        return INT2FIX(headers->err);
    }
    return headers->count > 0 ? NOT_MADE : message_no_headers;
}

static uint32_t weight_of(const rd_kafka_message_t *native, const struct native_headers *headers) {
    size_t weight = native->len + native->key_len + headers->size;
    return weight < UINT32_MAX ? (uint32_t)weight : UINT32_MAX;
}

VALUE message_from_native(const struct librdkafka *library, const rd_kafka_message_t *native, VALUE topic) {
    struct native_headers headers = measure_headers(library, native);
    struct message fields = {
        .topic = topic,
        .payload = native->payload ? NOT_MADE : Qnil,
        .key = native->key ? NOT_MADE : Qnil,
        .headers = headers_at_first(&headers),
        .time = NOT_MADE,
        .offset = native->offset,
        .timestamp = library->message_timestamp(native, NULL),
        .partition = native->partition,
        .leader_epoch = library->message_leader_epoch(native),
        .key_size = native->key ? (uint32_t)native->key_len : 0,
        .header_count = headers.count,
        .weight = weight_of(native, &headers),
    };
    if (native->payload && native->len >= LARGE_PAYLOAD) {
        fields.payload = rb_str_new(native->payload, (long)native->len);
    } else if (native->payload) {
        fields.payload_size = (uint32_t)native->len;
    }
    VALUE self = message_make(message_class, &fields, (size_t)fields.payload_size + fields.key_size + headers.size);
    struct message *message = RTYPEDDATA_DATA(self);
    char *position = append(message->bytes, native->payload, fields.payload_size);
    position = append(position, native->key, fields.key_size);
    append_headers(position, library, &headers);
    return self;
}
