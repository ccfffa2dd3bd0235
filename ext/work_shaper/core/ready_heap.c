#include "ready_heap.h"

#include <stddef.h>

/* Makes the newer of two tops the first child of the other, which is returned. */
static struct sub_key_queue *join(struct sub_key_queue *left, struct sub_key_queue *right) {
    struct sub_key_queue *top = left->rank < right->rank ? left : right;
    struct sub_key_queue *child = top == left ? right : left;
    child->previous_ready = top;
    child->next_ready = top->first_child;
    if (child->next_ready) {
        child->next_ready->previous_ready = child;
    }
    top->first_child = child;
    return top;
}

/* Makes one heap of siblings: joins them in pairs, then the pairs, the last first. Hence O(log n). */
static struct sub_key_queue *join_siblings(struct sub_key_queue *sibling) {
    struct sub_key_queue *pairs = NULL, *top = NULL;
    while (sibling) {
        struct sub_key_queue *pair = sibling, *other = sibling->next_ready;
        sibling = other ? other->next_ready : NULL;
        if (other) {
            pair = join(pair, other);
        }
        pair->next_ready = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct sub_key_queue *pair = pairs;
        pairs = pair->next_ready;
        top = top ? join(top, pair) : pair;
    }
    return top;
}

/* Takes a queue, with all below it, from under its parent. */
static void cut(const struct sub_key_queue *queue) {
    struct sub_key_queue *previous = queue->previous_ready;
    if (previous->first_child == queue) {
        previous->first_child = queue->next_ready;
    } else {
        previous->next_ready = queue->next_ready;
    }
    if (queue->next_ready) {
        queue->next_ready->previous_ready = previous;
    }
}

void ready_heap_add(struct ready_heap *heap, struct sub_key_queue *queue, uint64_t rank) {
    queue->rank = rank;
    queue->first_child = NULL;
    heap->top = heap->top ? join(heap->top, queue) : queue;
}

void ready_heap_remove(struct ready_heap *heap, struct sub_key_queue *queue) {
    queue->rank = 0;
    struct sub_key_queue *children = join_siblings(queue->first_child);
    if (queue == heap->top) {
        heap->top = children;
        return;
    }
    cut(queue);
    if (children) {
        heap->top = join(heap->top, children);
    }
}
