#include "message_fields.h"

#include "../errors.h"

#include <ruby/encoding.h>
#include <string.h>

VALUE message_class;
VALUE message_no_headers;

/* The Ruby object */

static void mark_message(void *data) {
    struct message *message = data;
    rb_gc_mark_movable(message->topic);
    rb_gc_mark_movable(message->payload);
    rb_gc_mark_movable(message->key);
    rb_gc_mark_movable(message->headers);
    rb_gc_mark_movable(message->time);
}

static void compact_message(void *data) {
    struct message *message = data;
    message->topic = rb_gc_location(message->topic);
    message->payload = rb_gc_location(message->payload);
    message->key = rb_gc_location(message->key);
    message->headers = rb_gc_location(message->headers);
    message->time = rb_gc_location(message->time);
}

/* The header at `position`; returns where the next one is. */
static const char *read_frame(const char *position, struct header_frame *frame) {
    memcpy(frame, position, sizeof *frame);
    size_t value_size = frame->value_size == NO_VALUE ? 0 : frame->value_size;
    return position + sizeof *frame + frame->name_size + value_size;
}

static const char *first_header(const struct message *message) {
    return message->bytes + message->payload_size + message->key_size;
}

static size_t size_of_message(const void *data) {
    const struct message *message = data;
    const char *end = first_header(message);
    struct header_frame frame;
    for (uint32_t i = 0; i < message->header_count; i++) {
        end = read_frame(end, &frame);
    }
    return (size_t)(end - (const char *)message);
}

static const rb_data_type_t message_type = {
    .wrap_struct_name = "WorkShaper::Message",
    .function = {.dmark = mark_message,
                 .dfree = RUBY_TYPED_DEFAULT_FREE,
                 .dsize = size_of_message,
                 .dcompact = compact_message},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

struct message *message_get(VALUE self) {
    struct message *message = rb_check_typeddata(self, &message_type);
    if (!message) { /* there was no memory for it; only ObjectSpace can find it then */
        rb_raise(rb_eTypeError, "this WorkShaper::Message was never made");
    }
    return message;
}

VALUE message_make(VALUE class, const struct message *fields, size_t byte_count) {
    /* First: the garbage collector frees it when there is no memory for the fields. */
    VALUE self = rb_data_typed_object_wrap(class, NULL, &message_type);
    struct message *message = ruby_xmalloc(sizeof *message + byte_count);
    memcpy(message, fields, sizeof *message);
    RTYPEDDATA_DATA(self) = message;
    RB_OBJ_WRITTEN(self, Qundef, message->topic);
    RB_OBJ_WRITTEN(self, Qundef, message->payload);
    RB_OBJ_WRITTEN(self, Qundef, message->key);
    RB_OBJ_WRITTEN(self, Qundef, message->headers);
    return self;
}

bool message_is(VALUE object) {
    return rb_typeddata_is_kind_of(object, &message_type);
}

size_t message_weight(VALUE object) {
    return message_is(object) ? ((const struct message *)RTYPEDDATA_DATA(object))->weight : 0;
}

/* The fields */

VALUE message_topic(VALUE self) {
    return message_get(self)->topic;
}

int32_t message_partition(VALUE self) {
    return message_get(self)->partition;
}

int64_t message_offset(VALUE self) {
    return message_get(self)->offset;
}

int32_t message_leader_epoch(VALUE self) {
    return message_get(self)->leader_epoch;
}

VALUE message_key(VALUE self) {
    struct message *message = message_get(self);
    if (message->key == NOT_MADE) {
        RB_OBJ_WRITE(self, &message->key, rb_str_new(message->bytes + message->payload_size, message->key_size));
    }
    return message->key;
}

/*
 * The topic that the message comes from.
 *
 * @overload topic
 *   @return [String] frozen
 */
static VALUE topic(VALUE self) {
    return message_topic(self);
}

/*
 * The partition that the message comes from.
 *
 * @overload partition
 *   @return [Integer]
 */
static VALUE partition(VALUE self) {
    return INT2NUM(message_partition(self));
}

/*
 * The message's offset in its partition.
 *
 * @overload offset
 *   @return [Integer]
 */
static VALUE offset(VALUE self) {
    return LL2NUM(message_offset(self));
}

/*
 * Which leader of the partition wrote the message, counted from 0; nil if the broker does not say.
 *
 * @overload leader_epoch
 *   @return [Integer, nil]
 */
static VALUE leader_epoch(VALUE self) {
    int32_t epoch = message_leader_epoch(self);
    return epoch < 0 ? Qnil : INT2NUM(epoch);
}

VALUE message_payload(VALUE self) {
    struct message *message = message_get(self);
    if (message->payload == NOT_MADE) {
        RB_OBJ_WRITE(self, &message->payload, rb_str_new(message->bytes, message->payload_size));
    }
    return message->payload;
}

/*
 * The message's bytes. The same String each time, in ASCII-8BIT, which is yours to change.
 *
 * @overload payload
 *   @return [String, nil] nil when there is none (a tombstone); an empty one is ""
 *   @example
 *     JSON.parse(message.payload)
 */
static VALUE payload(VALUE self) {
    return message_payload(self);
}

/*
 * The message's key. The same String each time, in ASCII-8BIT, which is yours to change.
 *
 * @overload key
 *   @return [String, nil] nil when there is none; an empty one is ""
 */
static VALUE key(VALUE self) {
    return message_key(self);
}

VALUE message_timestamp(VALUE self) {
    struct message *message = message_get(self);
    if (message->time == NOT_MADE) {
        int64_t milliseconds = message->timestamp;
        VALUE time = milliseconds < 0 ? Qnil : rb_time_nano_new(milliseconds / 1000, milliseconds % 1000 * 1000000);
        RB_OBJ_WRITE(self, &message->time, time);
    }
    return message->time;
}

/*
 * When the message was created, or when the broker received it, depending on its topic. With milliseconds, in the local
 * time zone.
 *
 * @overload timestamp
 *   @return [Time, nil] nil when the broker gives none
 */
static VALUE timestamp(VALUE self) {
    return message_timestamp(self);
}

void message_add_header(VALUE headers, const char *name, size_t name_size, VALUE value) {
    VALUE key = rb_enc_interned_str(name, (long)name_size, rb_ascii8bit_encoding());
    VALUE found = rb_hash_lookup2(headers, key, Qundef);
    if (found == Qundef) {
        rb_hash_aset(headers, key, value);
    } else if (RB_TYPE_P(found, T_ARRAY)) {
        rb_ary_push(found, value);
    } else {
        rb_hash_aset(headers, key, rb_ary_new_from_args(2, found, value));
    }
}

static VALUE make_headers(const struct message *message) {
    VALUE headers = rb_hash_new();
    const char *position = first_header(message);
    for (uint32_t i = 0; i < message->header_count; i++) {
        struct header_frame frame;
        const char *next = read_frame(position, &frame);
        const char *name = position + sizeof frame;
        VALUE value = frame.value_size == NO_VALUE ? Qnil : rb_str_new(name + frame.name_size, frame.value_size);
        message_add_header(headers, name, frame.name_size, value);
        position = next;
    }
    return rb_obj_freeze(headers);
}

VALUE message_headers(VALUE self) {
    struct message *message = message_get(self);
    if (message->headers == NOT_MADE) {
        RB_OBJ_WRITE(self, &message->headers, make_headers(message));
    }
    if (RB_FIXNUM_P(message->headers)) {
        rb_raise(work_shaper_error,
                 "librdkafka could not read the headers of %" PRIsVALUE "/%d at offset %lld: error %d", message->topic,
                 message->partition, (long long)message->offset, FIX2INT(message->headers));
    }
    return message->headers;
}

/*
 * The message's headers, the same Hash each time: names and values in ASCII-8BIT. A name that comes more than once has
 * an Array of its values in their order. A header without a value has nil (the rdkafka gem gives "").
 *
 * @overload headers
 *   @return [Hash{String => String, nil, Array<String, nil>}] frozen; empty when there are none
 *   @raise [Error] librdkafka could not read them
 *   @example
 *     Trace.continue(message.headers["traceparent"]) { handle(message) }
 */
static VALUE headers(VALUE self) {
    return message_headers(self);
}

/* Which delivery, which try */

/*
 * The same for each delivery of this message, and different for all others of the cluster: "orders/3/4711". A key for
 * work that must not be done twice.
 *
 * @overload id
 *   @return [String] topic, partition and offset
 *   @example
 *     Payment.create_or_find_by!(source: message.id)
 */
static VALUE id(VALUE self) {
    const struct message *message = message_get(self);
    return rb_enc_sprintf(rb_utf8_encoding(), "%" PRIsVALUE "/%d/%lld", message->topic, message->partition,
                          (long long)message->offset);
}

/*
 * Which attempt this is in this process, 1 for the first. (A restart or a rebalance begins at 1 again.)
 *
 * @overload attempt
 *   @return [Integer]
 */
static VALUE attempt(VALUE self) {
    return UINT2NUM(message_get(self)->failed_attempts + 1u);
}

/*
 * Whether its work has failed before, in this process. (A try that an open breaker excused was no attempt, but this is
 * a retry all the same.)
 *
 * @overload retry?
 *   @return [Boolean]
 */
static VALUE retried(VALUE self) {
    return message_get(self)->retried ? Qtrue : Qfalse;
}

/*
 * call-seq: failed_attempts = count
 *
 * Its work failed; so many attempts are used up.
 */
static VALUE set_failed_attempts(VALUE self, VALUE count) {
    struct message *message = message_get(self);
    message->failed_attempts = NUM2UINT(count) & INT32_MAX;
    message->retried = 1;
    return count;
}

/*
 * call-seq: weight
 *
 * How many bytes its payload, key and headers had when it came.
 */
static VALUE weight(VALUE self) {
    return SIZET2NUM(message_weight(self));
}

/*
 * The same for each delivery of this message. Two objects are never equal, though, whatever they hold.
 *
 * @overload hash
 *   @return [Integer]
 */
static VALUE hash(VALUE self) {
    const struct message *message = message_get(self);
    st_index_t bits = rb_hash_start(rb_str_hash(message->topic));
    bits = rb_hash_uint32(bits, (uint32_t)message->partition);
    bits = rb_hash_uint(bits, (st_index_t)message->offset);
    return ST2FIX(rb_hash_end(bits));
}

/*
 * Document-class: WorkShaper::Message
 *
 * One Kafka message, with the methods of the rdkafka gem's Rdkafka::Consumer::Message. It holds copies, so it stays
 * valid whatever becomes of its consumer. It is equal only to itself, and can neither be copied nor marshalled.
 *
 * @example
 *   ->(message) { Order.handle(JSON.parse(message.payload), at: message.timestamp) }
 */

void init_message(VALUE work_shaper) {
    message_no_headers = rb_obj_freeze(rb_hash_new());
    rb_gc_register_mark_object(message_no_headers);
    message_class = rb_define_class_under(work_shaper, "Message", rb_cObject);
    rb_gc_register_mark_object(message_class);
    rb_undef_alloc_func(message_class);
    init_message_new();
    init_message_fingerprint();
    init_message_text();
    rb_define_method(message_class, "topic", topic, 0);
    rb_define_method(message_class, "partition", partition, 0);
    rb_define_method(message_class, "offset", offset, 0);
    rb_define_method(message_class, "leader_epoch", leader_epoch, 0);
    rb_define_method(message_class, "payload", payload, 0);
    rb_define_method(message_class, "key", key, 0);
    rb_define_method(message_class, "timestamp", timestamp, 0);
    rb_define_method(message_class, "headers", headers, 0);
    rb_define_method(message_class, "id", id, 0);
    rb_define_method(message_class, "attempt", attempt, 0);
    rb_define_method(message_class, "retry?", retried, 0);
    rb_define_private_method(message_class, "failed_attempts=", set_failed_attempts, 1);
    rb_define_private_method(message_class, "weight", weight, 0);
    rb_define_method(message_class, "hash", hash, 0);
}
