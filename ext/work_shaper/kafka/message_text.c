#include "message_fields.h"

#include <ruby/encoding.h>

/* Truncates what may be long, as the rdkafka gem does. */
static VALUE truncated(VALUE string) {
    if (NIL_P(string) || NUM2LONG(rb_str_length(string)) <= 40) {
        return string;
    }
    return rb_str_cat_cstr(rb_str_substr(string, 0, 40), "...");
}

/* Appends as interpolation does, except that encodings that do not go together make the whole text bytes. */
static void append_text(VALUE text, const char *label, VALUE object) {
    VALUE string = rb_obj_as_string(object);
    rb_str_cat_cstr(text, label);
    rb_encoding *encoding = rb_enc_compatible(text, string);
    rb_enc_associate(text, encoding ? encoding : rb_ascii8bit_encoding());
    rb_str_cat(text, RSTRING_PTR(string), RSTRING_LEN(string));
    RB_GC_GUARD(string);
}

/*
 * The message as the rdkafka gem shows it, with the first 40 characters of key and payload.
 *
 * @overload to_s
 *   @return [String]
 */
static VALUE to_s(VALUE self) {
    const struct message *message = message_get(self);
    VALUE text = rb_utf8_str_new_cstr("<Message in '");
    append_text(text, "", message->topic);
    append_text(text, "' with key '", truncated(message_key(self)));
    append_text(text, "', payload '", truncated(message_payload(self)));
    rb_str_catf(text, "', partition %d, offset %lld", message->partition, (long long)message->offset);
    append_text(text, ", timestamp ", message_timestamp(self));
    /* Unreadable ones count as none here. */
    VALUE all = RB_FIXNUM_P(message->headers) ? message_no_headers : message_headers(self);
    if (RHASH_SIZE(all) > 0) {
        rb_str_catf(text, ", headers %lu", (unsigned long)RHASH_SIZE(all));
    }
    return rb_str_cat_cstr(text, ">");
}

static long payload_length(const struct message *message) {
    return message->payload == NOT_MADE ? (long)message->payload_size : RSTRING_LEN(message->payload);
}

/*
 * The message in one short line, for logs: of the payload it has only the size.
 *
 * @overload inspect
 *   @return [String]
 */
static VALUE inspect(VALUE self) {
    const struct message *message = message_get(self);
    VALUE size = NIL_P(message->payload) ? rb_str_new_cstr("nil") : rb_sprintf("%ld bytes", payload_length(message));
    return rb_enc_sprintf(rb_utf8_encoding(),
                          "#<%" PRIsVALUE " topic: %+" PRIsVALUE ", partition: %d, offset: %lld, key: %+" PRIsVALUE
                          ", payload: %" PRIsVALUE ">",
                          rb_obj_class(self), message->topic, message->partition, (long long)message->offset,
                          truncated(message_key(self)), size);
}

void init_message_text(void) {
    rb_define_method(message_class, "to_s", to_s, 0);
    rb_define_method(message_class, "inspect", inspect, 0);
}
