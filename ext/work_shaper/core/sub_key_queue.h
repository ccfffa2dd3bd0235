/*
 * sub_key_queue - the FIFO of one sub key: what waits, and the one item that runs.
 */
#ifndef WORK_SHAPER_CORE_SUB_KEY_QUEUE_H
#define WORK_SHAPER_CORE_SUB_KEY_QUEUE_H

#include "heap.h"
#include "item.h"

#include <stdbool.h>
#include <stdint.h>

struct sub_key_queue {
    struct item *first, *last; /* what waits, except arrivals (see scheduler.h) */
    struct item *running;      /* I1: at most one, or NULL */
    struct heap_node node;     /* in one of the scheduler's heaps, or in none */
    uint32_t waiting;          /* how many wait, arrivals included; the scheduler counts */
    bool ready : 1;            /* something waits, nothing runs, and it does not rest */
    bool resting : 1;          /* nothing starts before a time */
    bool tried : 1;            /* what runs, or waits first, was tried before */
    bool exempt : 1;           /* and may start although the scheduler is held */
    bool probing : 1;          /* what runs is the probe of a held scheduler */
};

/*
 * sub_key_queue_init - Makes it empty.
 */
void sub_key_queue_init(struct sub_key_queue *queue);

/*
 * sub_key_queue_push - Appends an item that is in no list.
 */
void sub_key_queue_push(struct sub_key_queue *queue, struct item *item);

/*
 * sub_key_queue_unshift - Puts an item that is in no list before all others.
 */
void sub_key_queue_unshift(struct sub_key_queue *queue, struct item *item);

/*
 * sub_key_queue_shift - Takes out the first item; there must be one.
 */
struct item *sub_key_queue_shift(struct sub_key_queue *queue);

/*
 * sub_key_queue_extract - Takes out all items of one tracker that are above an offset (-1: all). Returns them as a list
 * (by next), oldest first; NULL: none.
 */
struct item *sub_key_queue_extract(struct sub_key_queue *queue, const struct offset_tracker *tracker, int64_t above);

/*
 * item_waits - Whether an unfinished item waits: it is not the one that its queue runs.
 */
bool item_waits(const struct item *item);

/*
 * sub_key_queue_idle - Whether nothing waits or runs: it can be freed.
 */
bool sub_key_queue_idle(const struct sub_key_queue *queue);

#endif
