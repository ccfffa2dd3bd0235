/*
 * message_new - WorkShaper::Message.new: messages that are made in Ruby, for tests of handlers.
 */
#include "message_fields.h"

static VALUE check_string(VALUE value, const char *what) {
    if (!RB_TYPE_P(value, T_STRING)) {
        rb_raise(rb_eTypeError, "%s, not %" PRIsVALUE, what, rb_inspect(value));
    }
    return value;
}

/* A copy as Kafka would give it: ASCII-8BIT. */
static VALUE binary_copy(VALUE value, const char *what) {
    if (NIL_P(value)) {
        return Qnil;
    }
    check_string(value, what);
    VALUE copy = rb_str_new(RSTRING_PTR(value), RSTRING_LEN(value));
    RB_GC_GUARD(value);
    return copy;
}

static int64_t check_integer(VALUE value, const char *name, int64_t greatest) {
    if (!RB_INTEGER_TYPE_P(value)) {
        rb_raise(rb_eTypeError, "%s must be an Integer from 0 to %lld, not %" PRIsVALUE, name, (long long)greatest,
                 rb_inspect(value));
    }
    int64_t number;
    int sign =
        rb_integer_pack(value, &number, 1, sizeof number, 0, INTEGER_PACK_NATIVE_BYTE_ORDER | INTEGER_PACK_2COMP);
    if (sign < 0 || sign > 1 || number < 0 || number > greatest) {
        rb_raise(rb_eArgError, "%s must be an Integer from 0 to %lld, not %" PRIsVALUE, name, (long long)greatest,
                 rb_inspect(value));
    }
    return number;
}

static int64_t milliseconds_of(VALUE time) {
    if (NIL_P(time)) {
        return -1;
    }
    if (!RTEST(rb_obj_is_kind_of(time, rb_cTime))) {
        rb_raise(rb_eTypeError, "timestamp must be a Time or nil, not %" PRIsVALUE, rb_inspect(time));
    }
    struct timespec since_1970 = rb_time_timespec(time);
    if (since_1970.tv_sec < 0 || since_1970.tv_sec > INT64_MAX / 1000 - 1) {
        rb_raise(rb_eArgError, "timestamp must be a Time from 1970 on, not %" PRIsVALUE, rb_inspect(time));
    }
    return (int64_t)since_1970.tv_sec * 1000 + since_1970.tv_nsec / 1000000;
}

static int32_t leader_epoch_of(VALUE epoch) {
    return NIL_P(epoch) ? -1 : (int32_t)check_integer(epoch, "leader_epoch", INT32_MAX);
}

/* Adds one pair of the given Hash to the Hash that is being made. */
static int add_given(VALUE name, VALUE given, VALUE headers) {
    check_string(name, "a name in headers must be a String");
    VALUE values = RB_TYPE_P(given, T_ARRAY) ? given : rb_ary_new_from_args(1, given);
    for (long i = 0; i < RARRAY_LEN(values); i++) {
        VALUE value =
            binary_copy(rb_ary_entry(values, i), "a value in headers must be a String, nil or an Array of them");
        message_add_header(headers, RSTRING_PTR(name), (size_t)RSTRING_LEN(name), value);
        RB_GC_GUARD(name);
    }
    return ST_CONTINUE;
}

static VALUE given_headers(VALUE given) {
    if (!RB_TYPE_P(given, T_HASH)) {
        rb_raise(rb_eTypeError, "headers must be a Hash, not %" PRIsVALUE, rb_inspect(given));
    }
    VALUE headers = rb_hash_new();
    rb_hash_foreach(given, add_given, headers);
    return rb_obj_freeze(headers);
}

static long length_of(VALUE string) {
    return NIL_P(string) ? 0 : RSTRING_LEN(string);
}

/*
 * A message for tests of handlers, as a consumer would give it: Strings are copied as ASCII-8BIT, and the timestamp is
 * truncated to milliseconds.
 *
 * @overload new(topic:, partition:, offset:, payload: nil, key: nil, headers: {}, timestamp: nil, leader_epoch: nil)
 *   @param topic [String]
 *   @param partition [Integer] from 0 to 2**31 - 1
 *   @param offset [Integer] from 0 to 2**63 - 1
 *   @param payload [String, nil]
 *   @param key [String, nil]
 *   @param headers [Hash{String => String, nil, Array<String, nil>}] an Array: the name comes once with each value
 *   @param timestamp [Time, nil] from 1970 on
 *   @param leader_epoch [Integer, nil] from 0 to 2**31 - 1
 *   @return [Message]
 *   @raise [TypeError, ArgumentError] something is missing, unknown, of another type or out of range
 *   @example
 *     handler.call(WorkShaper::Message.new(topic: "orders", partition: 0, offset: 42, payload: '{"id":7}', key: "7"))
 */
static VALUE new_message(int argc, VALUE *argv, VALUE class) {
    enum { TOPIC, PARTITION, OFFSET, PAYLOAD, KEY, HEADERS, TIMESTAMP, LEADER_EPOCH, COUNT };
    const ID names[COUNT] = {rb_intern("topic"),     rb_intern("partition"),   rb_intern("offset"),
                             rb_intern("payload"),   rb_intern("key"),         rb_intern("headers"),
                             rb_intern("timestamp"), rb_intern("leader_epoch")};
    VALUE options;
    VALUE given[COUNT];
    rb_scan_args(argc, argv, "0:", &options);
    rb_get_kwargs(options, names, 3, COUNT - 3, given);
    for (int i = PAYLOAD; i < COUNT; i++) {
        given[i] = given[i] == Qundef && i != HEADERS ? Qnil : given[i];
    }
    struct message fields = {
        .topic = rb_str_new_frozen(check_string(given[TOPIC], "topic must be a String")),
        .partition = (int32_t)check_integer(given[PARTITION], "partition", INT32_MAX),
        .offset = check_integer(given[OFFSET], "offset", INT64_MAX),
        .payload = binary_copy(given[PAYLOAD], "payload must be a String or nil"),
        .key = binary_copy(given[KEY], "key must be a String or nil"),
        .headers = given[HEADERS] == Qundef ? message_no_headers : given_headers(given[HEADERS]),
        .time = NOT_MADE,
        .timestamp = milliseconds_of(given[TIMESTAMP]),
        .leader_epoch = leader_epoch_of(given[LEADER_EPOCH]),
    };
    fields.weight = (uint32_t)(length_of(fields.payload) + length_of(fields.key));
    return message_make(class, &fields, 0);
}

void init_message_new(void) {
    rb_define_singleton_method(message_class, "new", new_message, -1);
}
