/*
 * weight - what the unfinished messages of a manager weigh, in bytes, in all and per partition. Only for a manager
 * whose messages have a weight: whoever feeds it says so.
 *
 * A message counts from its enqueue until its work is over, however that ends; what is fenced does not count.
 */
#ifndef WORK_SHAPER_MANAGER_WEIGHT_H
#define WORK_SHAPER_MANAGER_WEIGHT_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct manager;
struct partition;

struct weight {
    size_t (*of)(VALUE message); /* always the same for a message; runs no Ruby code. NULL: messages have none */
    uint64_t total;
    uint64_t came; /* of all that ever came in */
    uint64_t most; /* from there on no room is left */
};

/*
 * weight_begin - From now on messages have a weight; nothing may be in the manager yet.
 */
void weight_begin(struct manager *manager, size_t (*of)(VALUE message), uint64_t most);

/*
 * weight_add - A message of the partition came in.
 */
void weight_add(struct manager *manager, struct partition *partition, VALUE message);

/*
 * weight_forget - The partition is revoked: what runs of it counts no more.
 */
void weight_forget(struct manager *manager, struct partition *partition);

/*
 * weight_full - Whether no more should come in.
 */
static inline bool weight_full(const struct weight *weight) {
    return weight->of && weight->total >= weight->most;
}

#endif
