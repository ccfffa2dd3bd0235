#include "registry.h"

#include <stddef.h>
#include <stdlib.h>
#ifdef HAVE_MALLOC_TRIM
#include <malloc.h>
#endif

struct sub_key *sub_key_of(struct sub_key_queue *queue) {
    return (struct sub_key *)((char *)queue - offsetof(struct sub_key, queue));
}

struct partition *partition_of(struct offset_tracker *tracker) {
    return (struct partition *)((char *)tracker - offsetof(struct partition, tracker));
}

struct address address_of(VALUE sub_key, VALUE partition) {
    return (struct address){.sub_key_key = sub_key,
                            .partition_key = partition,
                            .sub_key_hash = key_hash(sub_key),
                            .partition_hash = key_hash(partition)};
}

void registry_look_up(struct manager *manager, struct address *address) {
    uint64_t version;
    do {
        address->partition =
            (struct partition *)key_table_find(&manager->partitions, address->partition_key, address->partition_hash);
        version = manager->partitions.version;
        address->sub_key =
            (struct sub_key *)key_table_find(&manager->sub_keys, address->sub_key_key, address->sub_key_hash);
        /* The second look-up may have run Ruby code that made or revoked the partition. */
    } while (manager->partitions.version != version);
}

/* A key that nobody else can change. Runs no Ruby code. */
static VALUE own_key(VALUE key) {
    return RB_TYPE_P(key, T_STRING) ? rb_str_new_frozen(key) : key;
}

static bool add(struct manager *manager, struct key_table *table, struct keyed *entry, VALUE key, st_index_t hash) {
    entry->key = key;
    entry->hash = hash;
    if (!key_table_add(table, entry)) {
        return false;
    }
    RB_OBJ_WRITTEN(manager->self, Qundef, key);
    return true;
}

static struct sub_key *make_sub_key(struct manager *manager, VALUE key, st_index_t hash) {
    struct sub_key *sub_key = pool_acquire(&manager->sub_key_pool);
    if (!sub_key) {
        return NULL;
    }
    sub_key_queue_init(&sub_key->queue);
    if (!add(manager, &manager->sub_keys, &sub_key->keyed, key, hash)) {
        pool_release(&manager->sub_key_pool, sub_key);
        return NULL;
    }
    return sub_key;
}

static struct partition *make_partition(struct manager *manager, VALUE key, st_index_t hash) {
    struct partition *partition = malloc(sizeof *partition);
    if (!partition) {
        return NULL;
    }
    offset_tracker_init(&partition->tracker);
    if (!add(manager, &manager->partitions, &partition->keyed, key, hash)) {
        free(partition);
        return NULL;
    }
    return partition;
}

void registry_fill_sub_key(struct manager *manager, struct address *address) {
    if (address->sub_key) {
        return;
    }
    VALUE key = own_key(address->sub_key_key);
    address->sub_key = make_sub_key(manager, key, address->sub_key_hash);
    if (!address->sub_key) {
        rb_memerror();
    }
    RB_GC_GUARD(key);
}

static void fill_partition(struct manager *manager, struct address *address, VALUE key) {
    if (address->partition) {
        return;
    }
    address->partition = make_partition(manager, key, address->partition_hash);
    if (!address->partition) {
        registry_release_sub_key(manager, address->sub_key);
        rb_memerror();
    }
}

void registry_fill(struct manager *manager, struct address *address) {
    /* What Ruby may fail to allocate comes first: nothing is left half done then. */
    VALUE partition_key = address->partition ? Qnil : own_key(address->partition_key);
    registry_fill_sub_key(manager, address);
    fill_partition(manager, address, partition_key);
    RB_GC_GUARD(partition_key);
}

struct partition *registry_partition(struct manager *manager, VALUE key) {
    return (struct partition *)key_table_find(&manager->partitions, key, key_hash(key));
}

bool registry_acknowledging(struct manager *manager, VALUE key) {
    st_index_t hash = key_hash(key);
    return manager->baton.partition && keyed_is(&manager->baton.partition->keyed, key, hash);
}

void registry_release_partition(struct manager *manager, struct partition *partition) {
    if (partition->tracker.revoked && !partition->tracker.running && manager->baton.partition != partition) {
        offset_tracker_clear(&partition->tracker);
        free(partition);
    }
}

void registry_release_sub_key(struct manager *manager, struct sub_key *sub_key) {
    if (sub_key_queue_idle(&sub_key->queue)) {
        key_table_remove(&manager->sub_keys, &sub_key->keyed);
        pool_release(&manager->sub_key_pool, sub_key);
    }
}

struct revocation {
    struct manager *manager;
    const struct offset_tracker *tracker;
};

/* Returns whether the sub key is idle, and freed, thereby. */
static bool drop_from(struct keyed *entry, void *data) {
    const struct revocation *revocation = data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    scheduler_drop(&revocation->manager->scheduler, &sub_key->queue, revocation->tracker);
    if (!sub_key_queue_idle(&sub_key->queue)) {
        return false;
    }
    pool_release(&revocation->manager->sub_key_pool, sub_key);
    return true;
}

void registry_revoke(struct manager *manager, struct partition *partition) {
    struct revocation revocation = {.manager = manager, .tracker = &partition->tracker};
    key_table_reject(&manager->sub_keys, drop_from, &revocation);
    key_table_remove(&manager->partitions, &partition->keyed);
    scheduler_revoke(&manager->scheduler, &partition->tracker);
    registry_release_partition(manager, partition);
}

/* The garbage collector's walks */

static void each_waiting(struct item *first, void (*visit)(struct item *item)) {
    for (struct item *item = first; item; item = item->next) {
        visit(item);
    }
}

static void each_item(const struct sub_key_queue *queue, void (*visit)(struct item *item)) {
    each_waiting(queue->first, visit);
    if (queue->running) {
        visit(queue->running);
    }
}

static void mark_item(struct item *item) {
    rb_gc_mark_movable((VALUE)item->message);
}

static void mark_sub_key(struct keyed *entry, void *data) {
    (void)data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    rb_gc_mark_movable(entry->key);
    each_item(&sub_key->queue, mark_item);
    if (sub_key->queue.running) {
        /* Its partition may be revoked and in no table. Not movable: nothing would tell the others that hold it. */
        rb_gc_mark(partition_of(sub_key->queue.running->tracker)->keyed.key);
    }
}

static void mark_partition(struct keyed *entry, void *data) {
    (void)data;
    rb_gc_mark(entry->key);
}

void registry_mark(struct manager *manager) {
    each_waiting(manager->scheduler.first_arrival, mark_item);
    key_table_each(&manager->sub_keys, mark_sub_key, NULL);
    key_table_each(&manager->partitions, mark_partition, NULL);
    if (manager->baton.partition) {
        rb_gc_mark(manager->baton.partition->keyed.key);
    }
}

static void compact_item(struct item *item) {
    item->message = (uintptr_t)rb_gc_location((VALUE)item->message);
}

static void compact_sub_key(struct keyed *entry, void *data) {
    (void)data;
    entry->key = rb_gc_location(entry->key);
    each_item(&((struct sub_key *)entry)->queue, compact_item);
}

void registry_compact(struct manager *manager) {
    each_waiting(manager->scheduler.first_arrival, compact_item);
    key_table_each(&manager->sub_keys, compact_sub_key, NULL);
}

static void destroy_sub_key(struct keyed *entry, void *data) {
    struct manager *manager = data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    scheduler_discard(&manager->scheduler, &sub_key->queue);
    pool_release(&manager->sub_key_pool, sub_key);
}

static void destroy_partition(struct keyed *entry, void *data) {
    (void)data;
    struct partition *partition = (struct partition *)entry;
    offset_tracker_clear(&partition->tracker);
    free(partition);
}

void registry_destroy(struct manager *manager) {
    key_table_each(&manager->sub_keys, destroy_sub_key, manager);
    key_table_each(&manager->partitions, destroy_partition, NULL);
    key_table_clear(&manager->sub_keys);
    key_table_clear(&manager->partitions);
    pool_destroy(&manager->sub_key_pool);
    scheduler_destroy(&manager->scheduler);
}

/* About 8 MB of slabs. */
#define SLABS_WORTH_A_TRIM 1024

void registry_trim(struct manager *manager) {
#ifdef HAVE_MALLOC_TRIM
    /* Ruby's own pages lie between the slabs, so that glibc would keep them: 150 MB after a million messages. */
    size_t freed = manager->scheduler.items.freed + manager->sub_key_pool.freed;
    if (freed - manager->slabs_trimmed >= SLABS_WORTH_A_TRIM) {
        manager->slabs_trimmed = freed;
        malloc_trim(0);
    }
#else
    (void)manager;
#endif
}

static void add_tracker_bytes(struct keyed *entry, void *data) {
    size_t *bytes = data;
    *bytes += sizeof(struct partition) + offset_tracker_bytes(&((struct partition *)entry)->tracker);
}

size_t registry_bytes(const struct manager *manager) {
    size_t bytes = pool_bytes(&manager->scheduler.items) + pool_bytes(&manager->sub_key_pool) +
                   key_table_bytes(&manager->sub_keys) + key_table_bytes(&manager->partitions);
    key_table_each(&manager->partitions, add_tracker_bytes, &bytes);
    return bytes;
}
