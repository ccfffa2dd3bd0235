/*
 * item - one message from its enqueue until its work is finished.
 *
 * It belongs to two orders at once: the FIFO of its sub key and the window of its partition.
 * The size is part of the promise on bytes per waiting message: 56.
 */
#ifndef WORK_SHAPER_CORE_ITEM_H
#define WORK_SHAPER_CORE_ITEM_H

#include <stdint.h>

struct sub_key_queue;
struct offset_tracker;

struct item {
    struct item *next;              /* in the queue of its sub key, while it waits */
    struct sub_key_queue *queue;    /* its sub key */
    struct offset_tracker *tracker; /* its partition, as assigned when it was enqueued */
    uintptr_t message;              /* the caller's; the core only carries it */
    int64_t offset;                 /* from 0 */
    uint64_t sequence;              /* how many were enqueued before it, in total */
    uint32_t received_at;           /* milliseconds of the caller's clock, modulo 2^32 */
    uint32_t position : 30;         /* where the tracker keeps it: a sequence number or an index */
    uint32_t late : 1;              /* which of the two: 1 when it came out of order */
    uint32_t crowded : 1;           /* it waits, and when it came max_in_queue others of its sub key did */
};

/* What a position is of a larger number: enough, since no window or heap is longer. */
#define ITEM_POSITION(number) ((number) & ((1u << 30u) - 1))

_Static_assert(sizeof(void *) != 8 || sizeof(struct item) == 56, "a waiting message takes 56 bytes");

#endif
