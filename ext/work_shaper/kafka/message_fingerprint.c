/*
 * message_fingerprint - what tells a message from one with the same topic, partition and offset in another log.
 */
#include "message_fields.h"

/* FNV-1a. It need not withstand anybody, only tell two messages apart. */
#define HASH_START UINT64_C(0xCBF29CE484222325)
#define HASH_FACTOR UINT64_C(0x100000001B3)

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * HASH_FACTOR;
    }
    return hash;
}

/* Before the bytes of a part, so that the key's are not taken for the payload's, nor an empty part for none. */
static uint64_t hash_number(uint64_t hash, uint64_t number) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
        hash = (hash ^ (number >> shift & 0xFF)) * HASH_FACTOR;
    }
    return hash;
}

/* Of the bytes as they came, as long as the message has them; the String may have been changed since. */
static uint64_t hash_part(uint64_t hash, VALUE string, const char *bytes, size_t size) {
    if (NIL_P(string)) {
        return hash_number(hash, UINT64_MAX);
    }
    if (size == 0 && string != NOT_MADE) {
        bytes = RSTRING_PTR(string);
        size = (size_t)RSTRING_LEN(string);
    }
    return hash_bytes(hash_number(hash, size), bytes, size);
}

uint32_t message_fingerprint(VALUE self, int64_t *timestamp) {
    const struct message *message = message_get(self);
    uint64_t hash = hash_part(HASH_START, message->key, message->bytes + message->payload_size, message->key_size);
    hash = hash_part(hash, message->payload, message->bytes, message->payload_size);
    *timestamp = message->timestamp < 0 ? -1 : message->timestamp;
    return (uint32_t)(hash ^ hash >> 32);
}

/*
 * call-seq: fingerprint -> [timestamp, hash]
 *
 * What tells this message from one with the same topic, partition and offset in another log: milliseconds since 1970,
 * -1 for none, and a hash of key and payload, 32 bits, the same in every process.
 */
static VALUE fingerprint(VALUE self) {
    int64_t timestamp;
    uint32_t hash = message_fingerprint(self, &timestamp);
    return rb_assoc_new(LL2NUM(timestamp), UINT2NUM(hash));
}

void init_message_fingerprint(void) {
    rb_define_private_method(message_class, "fingerprint", fingerprint, 0);
}
