/*
 * ready_heap - the queues whose first item was passed over and may start now, the oldest on top.
 *
 * A pairing heap whose links are in the queues: nothing here allocates or can fail. It orders by the rank that each
 * queue was added with, so what a queue holds may change while it is in the heap.
 */
#ifndef WORK_SHAPER_CORE_READY_HEAP_H
#define WORK_SHAPER_CORE_READY_HEAP_H

#include "sub_key_queue.h"

struct ready_heap {
    struct sub_key_queue *top; /* the one with the lowest rank; NULL: empty */
};

/*
 * ready_heap_add - Adds a queue that is not in it, with a rank above 0 that no other in it has. O(1).
 */
void ready_heap_add(struct ready_heap *heap, struct sub_key_queue *queue, uint64_t rank);

/*
 * ready_heap_remove - Takes out a queue that is in it. O(log n), amortised.
 */
void ready_heap_remove(struct ready_heap *heap, struct sub_key_queue *queue);

#endif
