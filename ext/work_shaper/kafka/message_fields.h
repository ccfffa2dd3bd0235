/*
 * message_fields - what lies in a WorkShaper::Message; for message*.c alone.
 */
#ifndef WORK_SHAPER_KAFKA_MESSAGE_FIELDS_H
#define WORK_SHAPER_KAFKA_MESSAGE_FIELDS_H

#include "message.h"

/* What is made on first use and has not been asked for yet. */
#define NOT_MADE Qfalse

struct message {
    VALUE topic;
    VALUE payload;
    VALUE key;
    VALUE headers; /* an Integer: librdkafka's error, when it could not read them */
    VALUE time;
    int64_t offset;
    int64_t timestamp; /* milliseconds since 1970; negative: none */
    int32_t partition;
    int32_t leader_epoch;  /* -1: none */
    uint32_t payload_size; /* the sizes are of what is in `bytes`; on the wire all are below 2**31 */
    uint32_t key_size;
    uint32_t header_count;
    uint32_t weight;               /* of payload, key and headers, as they came: they may be changed */
    uint32_t failed_attempts : 31; /* of its work, in this process */
    uint32_t retried : 1;          /* its work failed before */
    char bytes[];                  /* payload, key, then for each header its frame, name and value */
};

/* Not aligned in `bytes`. */
struct header_frame {
    uint32_t name_size;
    uint32_t value_size;
};

#define NO_VALUE UINT32_MAX

extern VALUE message_class;
extern VALUE message_no_headers;

/*
 * message_make - A new object with these fields and room for so many bytes behind them, which the caller fills before
 * anything else is allocated. Raises NoMemoryError.
 */
VALUE message_make(VALUE class, const struct message *fields, size_t byte_count);

/*
 * message_get - The fields of a message. Raises TypeError for what is none.
 */
struct message *message_get(VALUE self);

/*
 * message_add_header - Adds to a Hash of headers; a second value of the same name makes it an Array. The name may be
 * any bytes.
 */
void message_add_header(VALUE headers, const char *name, size_t name_size, VALUE value);

/* As the methods of these names. message_headers raises Error when librdkafka could not read them. */
VALUE message_payload(VALUE self);
VALUE message_timestamp(VALUE self);
VALUE message_headers(VALUE self);

/* Defines Message.new. */
void init_message_new(void);

/* Defines Message#fingerprint. */
void init_message_fingerprint(void);

/* Defines Message#to_s and #inspect. */
void init_message_text(void);

#endif
