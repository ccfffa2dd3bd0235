/*
 * heap - what comes next: nodes ordered by a number, the lowest on top.
 *
 * A pairing heap whose nodes are inside its members: nothing here allocates or can fail. It orders by the rank that
 * each node was added with, so what a member holds may change while it is in the heap.
 */
#ifndef WORK_SHAPER_CORE_HEAP_H
#define WORK_SHAPER_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    struct heap_node *next, *previous; /* siblings; the first one's previous: its parent */
    struct heap_node *first_child;
    uint64_t rank; /* 0: it is in no heap */
};

struct heap {
    struct heap_node *top; /* one with the lowest rank; NULL: empty */
};

/*
 * HEAP_ENTRY - The struct that has the node as its `member`; the node must not be NULL.
 */
#define HEAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/*
 * heap_add - Adds a node that is in no heap, with a rank above 0. O(1).
 */
void heap_add(struct heap *heap, struct heap_node *node, uint64_t rank);

/*
 * heap_remove - Takes out a node that is in it. O(log n), amortised.
 */
void heap_remove(struct heap *heap, struct heap_node *node);

/*
 * heap_lowest - The node with the lowest rank of those that are wanted, or NULL. O(n).
 *
 * limit: handed to `wanted`, with each node that it is asked for.
 */
struct heap_node *heap_lowest(const struct heap *heap, bool (*wanted)(struct heap_node *node, uint64_t limit),
                              uint64_t limit);

#endif
