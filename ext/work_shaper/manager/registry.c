#include "registry.h"

#include "../ruby/memory.h"
#include "failure.h"
#include "manager.h"

#include <stddef.h>
#include <stdlib.h>

struct sub_key *sub_key_of(struct sub_key_queue *queue) {
    return (struct sub_key *)((char *)queue - offsetof(struct sub_key, queue));
}

struct partition *partition_of(struct offset_tracker *tracker) {
    return (struct partition *)((char *)tracker - offsetof(struct partition, tracker));
}

void registry_init(struct registry *registry) {
    pool_init(&registry->sub_key_pool, sizeof(struct sub_key));
}

/* Addresses */

/* Whether no Ruby code runs when these keys are hashed and compared with those in the tables. */
static bool undisturbed(const struct registry *registry, VALUE sub_key, VALUE partition) {
    return key_is_plain(sub_key) && key_is_plain(partition) && !registry->sub_keys.strange &&
           !registry->partitions.strange;
}

struct address address_of(const struct manager *manager, VALUE sub_key, VALUE partition) {
    bool calm = undisturbed(&manager->registry, sub_key, partition);
    struct address address = {.sub_key_key = calm ? sub_key : key_own(sub_key),
                              .partition_key = calm ? partition : key_own(partition)};
    address.sub_key_hash = key_hash(address.sub_key_key);
    address.partition_hash = key_hash(address.partition_key);
    return address;
}

void registry_look_up(struct manager *manager, struct address *address) {
    uint64_t version;
    do {
        address->partition = (struct partition *)key_table_find(&manager->registry.partitions, address->partition_key,
                                                                address->partition_hash);
        version = manager->registry.partitions.version;
        address->sub_key =
            (struct sub_key *)key_table_find(&manager->registry.sub_keys, address->sub_key_key, address->sub_key_hash);
        /* The second look-up may have run Ruby code that made or revoked the partition. */
    } while (manager->registry.partitions.version != version);
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

struct sub_key *registry_anonymous_sub_key(struct manager *manager) {
    struct sub_key *sub_key = pool_acquire(&manager->registry.sub_key_pool);
    if (sub_key) {
        sub_key_queue_init(&sub_key->queue);
        sub_key->keyed.key = Qundef;
        sub_key->keyed.hash = 0;
        sub_key->line = NULL;
        sub_key->failure = Qnil;
    }
    return sub_key;
}

static struct sub_key *make_sub_key(struct manager *manager, VALUE key, st_index_t hash) {
    struct sub_key *sub_key = registry_anonymous_sub_key(manager);
    if (!sub_key) {
        return NULL;
    }
    if (!add(manager, &manager->registry.sub_keys, &sub_key->keyed, key, hash)) {
        pool_release(&manager->registry.sub_key_pool, sub_key);
        return NULL;
    }
    return sub_key;
}

static struct partition *make_partition(struct manager *manager, VALUE key, st_index_t hash) {
    struct partition *partition = malloc(sizeof *partition);
    if (!partition) {
        return NULL;
    }
    offset_tracker_init(&partition->tracker, manager->acknowledger.latest);
    partition->leader_epoch = -1;
    partition->awaited = 0;
    partition->weight = 0;
    partition->durations = NULL;
    if (!add(manager, &manager->registry.partitions, &partition->keyed, key, hash)) {
        free(partition);
        return NULL;
    }
    return partition;
}

void registry_fill_sub_key(struct manager *manager, struct address *address) {
    if (address->sub_key) {
        return;
    }
    VALUE key = key_own(address->sub_key_key);
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
    VALUE partition_key = address->partition ? Qnil : key_own(address->partition_key);
    registry_fill_sub_key(manager, address);
    fill_partition(manager, address, partition_key);
    RB_GC_GUARD(partition_key);
}

struct partition *registry_partition(struct manager *manager, VALUE key) {
    return (struct partition *)key_table_find(&manager->registry.partitions, key, key_hash(key));
}

struct partition *registry_make_partition(struct manager *manager, VALUE key) {
    struct partition *partition = registry_partition(manager, key);
    if (partition) {
        return partition;
    }
    VALUE own = key_own(key);
    partition = make_partition(manager, own, key_hash(own));
    if (!partition) {
        rb_memerror();
    }
    RB_GC_GUARD(own);
    return partition;
}

bool registry_acknowledging(struct manager *manager, VALUE key) {
    st_index_t hash = key_hash(key);
    return manager->acknowledger.partition && keyed_is(&manager->acknowledger.partition->keyed, key, hash);
}

void registry_release_partition(struct manager *manager, struct partition *partition) {
    if (partition->tracker.revoked && !partition->tracker.running && !partition->awaited &&
        manager->acknowledger.partition != partition) {
        offset_tracker_clear(&partition->tracker);
        free(partition);
    }
}

static bool idle(const struct sub_key *sub_key) {
    return sub_key_queue_idle(&sub_key->queue) && !sub_key->line;
}

void registry_release_sub_key(struct manager *manager, struct sub_key *sub_key) {
    if (idle(sub_key)) {
        if (!sub_key_anonymous(sub_key)) {
            key_table_remove(&manager->registry.sub_keys, &sub_key->keyed);
        }
        pool_release(&manager->registry.sub_key_pool, sub_key);
    }
}

/* Revoking */

/* What waited on the sub key is gone, or some of it. (If something runs there, the failure is of that.) */
static void shortened(struct manager *manager, struct sub_key *sub_key) {
    if (!sub_key->queue.tried && !sub_key->queue.running && !NIL_P(sub_key->failure)) {
        failure_over(sub_key);
    }
    room_made(manager, sub_key);
}

static void let_go(struct sub_key_queue *queue, void *data) {
    shortened(data, sub_key_of(queue));
    registry_release_sub_key(data, sub_key_of(queue));
}

void registry_revoke(struct manager *manager, struct partition *partition) {
    key_table_remove(&manager->registry.partitions, &partition->keyed);
    scheduler_revoke(&manager->scheduler, &partition->tracker, let_go, manager);
    weight_forget(manager, partition);
    registry_release_partition(manager, partition);
}

struct drop {
    struct manager *manager;
    bool resting_only;
    uint64_t count;
};

/* Returns whether the sub key is thereby idle, and freed. */
static bool drop_from(struct keyed *entry, void *data) {
    struct drop *drop = data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    if (drop->resting_only && !sub_key->queue.resting) {
        return false;
    }
    drop->count += scheduler_drop_waiting(&drop->manager->scheduler, &sub_key->queue);
    shortened(drop->manager, sub_key);
    if (!idle(sub_key)) {
        return false;
    }
    pool_release(&drop->manager->registry.sub_key_pool, sub_key);
    return true;
}

uint64_t registry_drop_waiting(struct manager *manager) {
    struct drop drop = {.manager = manager};
    key_table_reject(&manager->registry.sub_keys, drop_from, &drop);
    return drop.count;
}

uint64_t registry_drop_partition(struct manager *manager, struct partition *partition) {
    return scheduler_drop_above(&manager->scheduler, &partition->tracker, OFFSET_NONE, let_go, manager);
}

static void drop_beyond(struct keyed *entry, void *data) {
    struct drop *drop = data;
    struct offset_tracker *tracker = &((struct partition *)entry)->tracker;
    drop->count += scheduler_drop_above(&drop->manager->scheduler, tracker, offset_tracker_highest_finished(tracker),
                                        let_go, drop->manager);
}

uint64_t registry_drop_beyond(struct manager *manager) {
    struct drop drop = {.manager = manager};
    key_table_each(&manager->registry.partitions, drop_beyond, &drop);
    return drop.count;
}

void registry_drop_resting(struct manager *manager) {
    struct drop drop = {.manager = manager, .resting_only = true};
    key_table_reject(&manager->registry.sub_keys, drop_from, &drop);
}

void registry_drop_sub_key(struct manager *manager, struct sub_key *sub_key) {
    scheduler_drop_waiting(&manager->scheduler, &sub_key->queue);
    shortened(manager, sub_key);
    registry_release_sub_key(manager, sub_key);
}

/* Checkpoints */

static void mark_received(struct keyed *entry, void *data) {
    scheduler_mark(data, &((struct partition *)entry)->tracker);
}

void registry_mark_received(struct manager *manager) {
    key_table_each(&manager->registry.partitions, mark_received, &manager->scheduler);
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
    rb_gc_mark(sub_key->failure);
    each_item(&sub_key->queue, mark_item);
    if (sub_key->queue.running) {
        /* Its partition may be revoked and in no table. Not movable: nothing would tell the others that hold it. */
        rb_gc_mark(partition_of(sub_key->queue.running->tracker)->keyed.key);
    }
}

static void mark_partition(struct keyed *entry, void *data) {
    (void)data;
    const struct offset_tracker *tracker = &((struct partition *)entry)->tracker;
    rb_gc_mark(entry->key);
    if (tracker->given_up != OFFSET_NONE) {
        rb_gc_mark_movable((VALUE)tracker->given_up_message);
    }
}

void registry_mark(struct manager *manager) {
    each_waiting(manager->scheduler.first_arrival, mark_item);
    key_table_each(&manager->registry.sub_keys, mark_sub_key, NULL);
    key_table_each(&manager->registry.partitions, mark_partition, NULL);
    if (manager->acknowledger.partition) {
        rb_gc_mark(manager->acknowledger.partition->keyed.key);
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

static void compact_partition(struct keyed *entry, void *data) {
    (void)data;
    struct offset_tracker *tracker = &((struct partition *)entry)->tracker;
    if (tracker->given_up != OFFSET_NONE) {
        tracker->given_up_message = (uintptr_t)rb_gc_location((VALUE)tracker->given_up_message);
    }
}

void registry_compact(struct manager *manager) {
    each_waiting(manager->scheduler.first_arrival, compact_item);
    key_table_each(&manager->registry.sub_keys, compact_sub_key, NULL);
    key_table_each(&manager->registry.partitions, compact_partition, NULL);
}

static void destroy_sub_key(struct keyed *entry, void *data) {
    struct manager *manager = data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    scheduler_discard(&manager->scheduler, &sub_key->queue);
    pool_release(&manager->registry.sub_key_pool, sub_key);
}

static void destroy_partition(struct keyed *entry, void *data) {
    (void)data;
    struct partition *partition = (struct partition *)entry;
    offset_tracker_clear(&partition->tracker);
    free(partition);
}

void registry_destroy(struct manager *manager) {
    key_table_each(&manager->registry.sub_keys, destroy_sub_key, manager);
    key_table_each(&manager->registry.partitions, destroy_partition, NULL);
    key_table_clear(&manager->registry.sub_keys);
    key_table_clear(&manager->registry.partitions);
    pool_destroy(&manager->registry.sub_key_pool);
    scheduler_destroy(&manager->scheduler);
}

/* About 8 MB of slabs. */
#define SLABS_WORTH_A_TRIM 1024
/* Bytes of messages that came in. */
#define WEIGHT_WORTH_A_TRIM ((uint64_t)64 << 20u)

void registry_trim(struct manager *manager) {
    struct registry *registry = &manager->registry;
    size_t freed = manager->scheduler.items.freed + registry->sub_key_pool.freed;
    if (freed - registry->slabs_trimmed >= SLABS_WORTH_A_TRIM ||
        manager->weight.came - registry->weight_trimmed >= WEIGHT_WORTH_A_TRIM) {
        registry->slabs_trimmed = freed;
        registry->weight_trimmed = manager->weight.came;
        memory_trim();
    }
}

static void add_tracker_bytes(struct keyed *entry, void *data) {
    size_t *bytes = data;
    *bytes += sizeof(struct partition) + offset_tracker_bytes(&((struct partition *)entry)->tracker);
}

size_t registry_bytes(const struct manager *manager) {
    size_t bytes = pool_bytes(&manager->scheduler.items) + pool_bytes(&manager->registry.sub_key_pool) +
                   key_table_bytes(&manager->registry.sub_keys) + key_table_bytes(&manager->registry.partitions);
    key_table_each(&manager->registry.partitions, add_tracker_bytes, &bytes);
    return bytes;
}
