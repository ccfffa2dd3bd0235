/*
 * key_table - finds an entry by a Ruby object, as a Hash would.
 *
 * Unlike a Hash it survives keys whose #hash or #eql? switch threads, raise or come back to this very table: Ruby code
 * runs only in key_hash, keyed_is and key_table_find; adding and removing never run any. Strings are equal when their
 * bytes are, whatever their encoding.
 */
#ifndef WORK_SHAPER_RUBY_KEY_TABLE_H
#define WORK_SHAPER_RUBY_KEY_TABLE_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be embedded as the first member of what is kept in a table. */
struct keyed {
    VALUE key;
    st_index_t hash;
    struct keyed *next; /* in its bucket */
};

struct key_table {
    struct keyed **buckets;
    size_t capacity;  /* of buckets: a power of two, or 0 */
    size_t length;    /* entries */
    size_t strange;   /* those of them whose keys are not plain */
    uint64_t version; /* goes up with every change, so that a look-up that ran Ruby code sees it */
};

/*
 * key_is_plain - Whether hashing a key and comparing it with another plain one runs no Ruby code.
 */
static inline bool key_is_plain(VALUE key) {
    if (RB_SPECIAL_CONST_P(key)) {
        return true;
    }
    enum ruby_value_type type = RB_BUILTIN_TYPE(key);
    return type == T_STRING || type == T_SYMBOL || type == T_BIGNUM || type == T_FLOAT;
}

/*
 * key_own - The key, or a frozen copy of a String that could be changed. Runs no Ruby code. Raises NoMemoryError.
 */
VALUE key_own(VALUE key);

/*
 * key_hash - The hash value of a key. May run Ruby code and raise, unless the key is plain.
 */
st_index_t key_hash(VALUE key);

/*
 * keyed_is - Whether an entry is that of a key. May run Ruby code and raise; the entry may be gone afterwards.
 */
bool keyed_is(const struct keyed *entry, VALUE key, st_index_t hash);

/*
 * key_table_find - The entry of a key, valid at the moment of return. May run Ruby code and raise.
 *
 * hash: key_hash(key).
 * Returns NULL when there is none.
 */
struct keyed *key_table_find(struct key_table *table, VALUE key, st_index_t hash);

/*
 * key_table_add - Adds an entry whose key and hash are set, and whose key is not in the table. The key must not be
 * mutable.
 *
 * Returns false when there is no memory; nothing has changed then.
 */
bool key_table_add(struct key_table *table, struct keyed *entry);

/*
 * key_table_remove - Takes out an entry.
 */
void key_table_remove(struct key_table *table, struct keyed *entry);

/*
 * key_table_each - Calls visit(entry, data) for every entry. The visitor may free the entry, but not change the table.
 */
void key_table_each(const struct key_table *table, void (*visit)(struct keyed *entry, void *data), void *data);

/*
 * key_table_reject - Takes out every entry for which reject(entry, data) is true; reject may free it, but not change
 * the table.
 */
void key_table_reject(struct key_table *table, bool (*reject)(struct keyed *entry, void *data), void *data);

/*
 * key_table_clear - Frees the table's own memory, not the entries.
 */
void key_table_clear(struct key_table *table);

/*
 * key_table_bytes - Bytes that the table itself holds.
 */
size_t key_table_bytes(const struct key_table *table);

#endif
