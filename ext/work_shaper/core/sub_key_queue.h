/*
 * sub_key_queue - the FIFO of one sub key: what waits, and the one item that runs.
 */
#ifndef WORK_SHAPER_CORE_SUB_KEY_QUEUE_H
#define WORK_SHAPER_CORE_SUB_KEY_QUEUE_H

#include "item.h"

#include <stdbool.h>
#include <stdint.h>

struct sub_key_queue {
    struct item *first, *last;                         /* what waits, oldest first */
    struct item *running;                              /* I1: at most one, or NULL */
    struct sub_key_queue *next_ready, *previous_ready; /* the scheduler's list */
    uint32_t waiting;                                  /* how many wait */
    uint32_t blocked;                                  /* callers that wait for room in it; they keep it alive */
    bool ready;                                        /* on the scheduler's list */
};

/*
 * sub_key_queue_init - Makes it empty.
 */
void sub_key_queue_init(struct sub_key_queue *queue);

/*
 * sub_key_queue_push - Appends an item that is in no queue.
 */
void sub_key_queue_push(struct sub_key_queue *queue, struct item *item);

/*
 * sub_key_queue_shift - Takes out the oldest item that waits; there must be one.
 */
struct item *sub_key_queue_shift(struct sub_key_queue *queue);

/*
 * sub_key_queue_extract - Takes out all items of one tracker. Returns them as a list (by next), oldest first; NULL:
 * none.
 */
struct item *sub_key_queue_extract(struct sub_key_queue *queue, const struct offset_tracker *tracker);

/*
 * sub_key_queue_idle - Whether nothing waits, runs or is blocked: it can be freed.
 */
bool sub_key_queue_idle(const struct sub_key_queue *queue);

#endif
