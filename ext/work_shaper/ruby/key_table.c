#include "key_table.h"

#include <ruby/encoding.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64u
/* A table this small is not worth shrinking. */
#define KEPT_CAPACITY 16384u

/* Keys that are equal only to themselves; Floats are not (0.0 and -0.0). */
static bool equal_by_identity(VALUE key) {
    return (RB_SPECIAL_CONST_P(key) && !RB_FLONUM_P(key)) || RB_SYMBOL_P(key);
}

VALUE key_own(VALUE key) {
    if (!RB_TYPE_P(key, T_STRING) || OBJ_FROZEN(key)) {
        return key;
    }
    if (rb_obj_class(key) != rb_cString) {
        return rb_str_new_frozen(key);
    }
    /* Not one that shares the bytes: it would keep the whole payload of which the key is a part, and the caller's
     * buffer would be copied at its next change. */
    return rb_str_freeze(rb_enc_str_new(RSTRING_PTR(key), RSTRING_LEN(key), rb_enc_get(key)));
}

st_index_t key_hash(VALUE key) {
    if (RB_TYPE_P(key, T_STRING)) {
        return rb_memhash(RSTRING_PTR(key), RSTRING_LEN(key));
    }
    return (st_index_t)NUM2LL(rb_hash(key)); /* as Ruby's Hash does: nobody can choose keys that meet in one bucket */
}

static bool equal_bytes(VALUE left, VALUE right) {
    long length = RSTRING_LEN(left);
    return length == RSTRING_LEN(right) && memcmp(RSTRING_PTR(left), RSTRING_PTR(right), (size_t)length) == 0;
}

/* Whether the keys are equal. May run Ruby code and raise. */
static bool equal(VALUE left, VALUE right) {
    if (left == right) {
        return true;
    }
    if (equal_by_identity(left) || equal_by_identity(right)) {
        return false;
    }
    if (RB_TYPE_P(left, T_STRING) && RB_TYPE_P(right, T_STRING)) {
        return equal_bytes(left, right);
    }
    return rb_eql(left, right);
}

bool keyed_is(const struct keyed *entry, VALUE key, st_index_t hash) {
    return entry->hash == hash && equal(entry->key, key);
}

static struct keyed **bucket_of(const struct key_table *table, st_index_t hash) {
    return &table->buckets[hash & (table->capacity - 1)];
}

struct keyed *key_table_find(struct key_table *table, VALUE key, st_index_t hash) {
    if (table->length == 0) {
        return NULL;
    }
    uint64_t version = table->version;
    struct keyed *entry = *bucket_of(table, hash);
    while (entry) {
        bool found = keyed_is(entry, key, hash);
        if (table->version != version) {
            return key_table_find(table, key, hash);
        }
        if (found) {
            return entry;
        }
        entry = entry->next;
    }
    return NULL;
}

static bool resize(struct key_table *table, size_t capacity) {
    struct keyed **buckets = calloc(capacity, sizeof(struct keyed *));
    if (!buckets) {
        return false;
    }
    struct key_table resized = {.buckets = buckets, .capacity = capacity};
    for (size_t i = 0; i < table->capacity; i++) {
        struct keyed *entry = table->buckets[i];
        while (entry) {
            struct keyed *next = entry->next;
            struct keyed **bucket = bucket_of(&resized, entry->hash);
            entry->next = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->capacity = capacity;
    return true;
}

bool key_table_add(struct key_table *table, struct keyed *entry) {
    if (table->length >= table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : FIRST_CAPACITY;
        if (!resize(table, capacity) && table->capacity == 0) {
            return false;
        }
    }
    struct keyed **bucket = bucket_of(table, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    table->length++;
    table->strange += !key_is_plain(entry->key);
    table->version++;
    return true;
}

static void shrink(struct key_table *table) {
    if (table->capacity > KEPT_CAPACITY && table->length < table->capacity / 16) {
        resize(table, table->capacity / 4); /* without memory it stays large: no harm */
    }
}

void key_table_remove(struct key_table *table, struct keyed *entry) {
    struct keyed **link = bucket_of(table, entry->hash);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    table->length--;
    table->strange -= !key_is_plain(entry->key);
    table->version++;
    shrink(table);
}

void key_table_reject(struct key_table *table, bool (*reject)(struct keyed *entry, void *data), void *data) {
    for (size_t i = 0; i < table->capacity; i++) {
        struct keyed **link = &table->buckets[i];
        while (*link) {
            struct keyed *next = (*link)->next;
            bool strange = !key_is_plain((*link)->key);
            if (reject(*link, data)) {
                *link = next;
                table->length--;
                table->strange -= strange;
            } else {
                link = &(*link)->next;
            }
        }
    }
    table->version++;
    shrink(table);
}

void key_table_each(const struct key_table *table, void (*visit)(struct keyed *entry, void *data), void *data) {
    for (size_t i = 0; i < table->capacity; i++) {
        struct keyed *entry = table->buckets[i];
        while (entry) {
            struct keyed *next = entry->next;
            visit(entry, data);
            entry = next;
        }
    }
}

void key_table_clear(struct key_table *table) {
    free(table->buckets);
    *table = (struct key_table){.version = table->version + 1};
}

size_t key_table_bytes(const struct key_table *table) {
    return table->capacity * sizeof(struct keyed *);
}
