#include "heap.h"

/* Makes the higher of two tops the first child of the other, which is returned. */
static struct heap_node *join(struct heap_node *left, struct heap_node *right) {
    struct heap_node *top = left->rank < right->rank ? left : right;
    struct heap_node *child = top == left ? right : left;
    child->previous = top;
    child->next = top->first_child;
    if (child->next) {
        child->next->previous = child;
    }
    top->first_child = child;
    return top;
}

/* Makes one heap of siblings: joins them in pairs, then the pairs, the last first. Hence O(log n). */
static struct heap_node *join_siblings(struct heap_node *sibling) {
    struct heap_node *pairs = NULL, *top = NULL;
    while (sibling) {
        struct heap_node *pair = sibling, *other = sibling->next;
        sibling = other ? other->next : NULL;
        if (other) {
            pair = join(pair, other);
        }
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct heap_node *pair = pairs;
        pairs = pair->next;
        top = top ? join(top, pair) : pair;
    }
    return top;
}

/* Takes a node, with all below it, from under its parent. */
static void cut(const struct heap_node *node) {
    struct heap_node *previous = node->previous;
    if (previous->first_child == node) {
        previous->first_child = node->next;
    } else {
        previous->next = node->next;
    }
    if (node->next) {
        node->next->previous = previous;
    }
}

void heap_add(struct heap *heap, struct heap_node *node, uint64_t rank) {
    *node = (struct heap_node){.rank = rank};
    heap->top = heap->top ? join(heap->top, node) : node;
}

void heap_remove(struct heap *heap, struct heap_node *node) {
    node->rank = 0;
    struct heap_node *children = join_siblings(node->first_child);
    if (node == heap->top) {
        heap->top = children;
        return;
    }
    cut(node);
    if (children) {
        heap->top = join(heap->top, children);
    }
}

/* The next node after all that is below this one, or NULL. */
static struct heap_node *next_branch(const struct heap_node *top, struct heap_node *node) {
    while (node != top) {
        if (node->next) {
            return node->next;
        }
        while (node->previous->first_child != node) {
            node = node->previous;
        }
        node = node->previous;
    }
    return NULL;
}

struct heap_node *heap_lowest(const struct heap *heap, bool (*wanted)(struct heap_node *node, uint64_t limit),
                              uint64_t limit) {
    struct heap_node *found = NULL, *node = heap->top;
    while (node) {
        bool lower = !found || node->rank < found->rank;
        if (lower && wanted(node, limit)) {
            found = node;
            lower = false; /* all below it are above */
        }
        node = lower && node->first_child ? node->first_child : next_branch(heap->top, node);
    }
    return found;
}
