/*
 * registry - the sub keys and partitions that a manager knows at the moment.
 */
#ifndef WORK_SHAPER_MANAGER_REGISTRY_H
#define WORK_SHAPER_MANAGER_REGISTRY_H

#include "../core/offset_tracker.h"
#include "../core/pool.h"
#include "../core/sub_key_queue.h"
#include "../ruby/key_table.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct blocked;
struct durations;

/* A sub key that has something waiting or running, or a caller that waits for room on it. */
struct sub_key {
    struct keyed keyed; /* its key is Qundef when it is anonymous: it is in no table, and has one item only */
    struct sub_key_queue queue;
    struct blocked *line; /* the caller that has waited longest for room on it, or NULL: see room.h */
    VALUE failure;        /* of what was tried before: see failure.h; or nil */
};

/* A partition in one assignment. Once revoked it is in no table, and lives on until nothing of it runs. */
struct partition {
    struct keyed keyed;
    struct offset_tracker tracker;
    uint64_t weight;             /* of what is unfinished: see weight.h */
    struct durations *durations; /* where those of its messages are counted; NULL: nowhere yet */
    int32_t leader_epoch;        /* the latest of Kafka's messages that came in; -1: none */
    uint32_t again;              /* messages that wait to be tried again, at the last count: see stats.c */
    uint32_t awaited;            /* how many callers wait until nothing of it waits or runs; they keep it alive */
};

struct registry {
    struct key_table sub_keys;
    struct key_table partitions;
    struct pool sub_key_pool;
    size_t slabs_trimmed;    /* how many slabs the pools had given back when registry_trim last did it */
    uint64_t weight_trimmed; /* and what all messages weighed that had come in */
};

/*
 * registry_init - Makes it empty.
 */
void registry_init(struct registry *registry);

/* A message's address: its sub key and partition, looked up. */
struct address {
    VALUE sub_key_key, partition_key;
    st_index_t sub_key_hash, partition_hash;
    struct sub_key *sub_key;     /* NULL: nothing of it waits or runs */
    struct partition *partition; /* NULL: nothing of it was received */
};

/*
 * address_of - Hashes the keys, without looking them up. May run Ruby code and raise. If this or a look-up could run
 * Ruby code, Strings are copied first, so that nothing changes them meanwhile.
 */
struct address address_of(const struct manager *manager, VALUE sub_key, VALUE partition);

/*
 * registry_look_up - Sets both pointers, valid at the moment of return. May run Ruby code and raise.
 */
void registry_look_up(struct manager *manager, struct address *address);

/*
 * registry_fill - Makes what was not found. Runs no Ruby code, so both pointers are valid when it returns.
 * Raises NoMemoryError; what it made before that is undone.
 */
void registry_fill(struct manager *manager, struct address *address);

/*
 * registry_fill_sub_key - Makes the sub key alone, for a caller that is going to wait for it. Raises NoMemoryError.
 */
void registry_fill_sub_key(struct manager *manager, struct address *address);

/*
 * registry_anonymous_sub_key - Makes a sub key for one item that has none. Returns NULL when there is no memory.
 */
struct sub_key *registry_anonymous_sub_key(struct manager *manager);

/*
 * sub_key_anonymous - Whether it is one of these.
 */
static inline bool sub_key_anonymous(const struct sub_key *sub_key) {
    return sub_key->keyed.key == Qundef;
}

/*
 * registry_partition - The partition of a key, or NULL. May run Ruby code and raise.
 */
struct partition *registry_partition(struct manager *manager, VALUE key);

/*
 * registry_make_partition - The partition of a key, which is made if it is not there. May run Ruby code and raise.
 */
struct partition *registry_make_partition(struct manager *manager, VALUE key);

/*
 * registry_acknowledging - Whether `ack` is being called for a partition of this key, perhaps one that is revoked
 * already. May run Ruby code and raise.
 */
bool registry_acknowledging(struct manager *manager, VALUE key);

/*
 * registry_revoke - Takes a partition out of the table, and its waiting messages out of the queues (I6).
 */
void registry_revoke(struct manager *manager, struct partition *partition);

/*
 * registry_drop_waiting - Drops all that waits, of every partition. Returns how many messages it dropped.
 */
uint64_t registry_drop_waiting(struct manager *manager);

/*
 * registry_drop_partition - The same for one partition. registry_drop_beyond - The same for what is above the highest
 * finished offset of its partition.
 */
uint64_t registry_drop_partition(struct manager *manager, struct partition *partition);
uint64_t registry_drop_beyond(struct manager *manager);

/*
 * registry_drop_sub_key - The same for one sub key, which may be freed thereby.
 */
void registry_drop_sub_key(struct manager *manager, struct sub_key *sub_key);

/*
 * registry_drop_resting - The same for each sub key that rests.
 */
void registry_drop_resting(struct manager *manager);

/*
 * registry_mark_received - All that is in flight now belongs to the scheduler's checkpoint. O(partitions).
 */
void registry_mark_received(struct manager *manager);

/*
 * registry_release_partition - Frees a partition if it was revoked, nothing of it runs or is being acknowledged, and
 * nobody waits for it.
 */
void registry_release_partition(struct manager *manager, struct partition *partition);

/*
 * registry_release_sub_key - Frees a sub key if its queue is idle and nobody waits for it.
 */
void registry_release_sub_key(struct manager *manager, struct sub_key *sub_key);

/*
 * registry_mark, registry_compact - For the garbage collector: every key and message, including those of what is
 * revoked and still runs.
 */
void registry_mark(struct manager *manager);
void registry_compact(struct manager *manager);

/*
 * registry_destroy - Frees everything.
 */
void registry_destroy(struct manager *manager);

/*
 * registry_trim - Has the C library give back to the system what it holds free, if that may be a lot. It may take some
 * 10 ms, so call it when there is nothing to do.
 */
void registry_trim(struct manager *manager);

/*
 * registry_bytes - How many bytes it has allocated, including those of the items.
 */
size_t registry_bytes(const struct manager *manager);

struct sub_key *sub_key_of(struct sub_key_queue *queue);
struct partition *partition_of(struct offset_tracker *tracker);

#endif
