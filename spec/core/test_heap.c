#include "check.h"
#include "core/heap.h"

#include <stdbool.h>
#include <stddef.h>

#define MOST 300

/* The naive model: which nodes are in, and by which rank. */
static struct heap_node nodes[MOST];
static uint64_t ranks[MOST];
static bool inside[MOST];
static struct heap heap;

static void begin(void) {
    heap = (struct heap){0};
    for (int i = 0; i < MOST; i++) {
        nodes[i] = (struct heap_node){0};
        inside[i] = false;
    }
}

static struct heap_node *oldest(void) {
    struct heap_node *found = NULL;
    for (int i = 0; i < MOST; i++) {
        if (inside[i] && (!found || ranks[i] < found->rank)) {
            found = &nodes[i];
        }
    }
    return found;
}

static const struct heap_node *lowest_above(uint64_t rank) {
    const struct heap_node *found = NULL;
    for (int i = 0; i < MOST; i++) {
        if (inside[i] && ranks[i] > rank && (!found || ranks[i] < found->rank)) {
            found = &nodes[i];
        }
    }
    return found;
}

static bool above(struct heap_node *node, uint64_t rank) {
    return node->rank > rank;
}

static void add(int index, uint64_t rank) {
    ranks[index] = rank;
    inside[index] = true;
    heap_add(&heap, &nodes[index], rank);
    CHECK(nodes[index].rank == rank);
}

static void take_out(struct heap_node *node) {
    inside[node - nodes] = false;
    heap_remove(&heap, node);
    CHECK(node->rank == 0);
}

static void has_the_oldest_on_top_whatever_happens(uint64_t run) {
    random_seed(run);
    begin();
    uint32_t adds = 1 + random_below(9), spread = 1 + random_below(1000000);
    uint64_t unique = 0;
    for (int step = 0; step < 1000; step++) {
        int index = (int)random_below(MOST);
        if (random_below(10) < adds && !inside[index]) {
            add(index, (uint64_t)(1 + random_below(spread)) << 20 | unique++);
        } else if (random_below(2) && inside[index]) {
            take_out(&nodes[index]); /* from anywhere, as a revoke does */
        } else if (heap.top) {
            take_out(heap.top);
        }
        CHECK(heap.top == oldest());
        uint64_t rank = ranks[random_below(MOST)];
        CHECK(heap_lowest(&heap, above, rank) == lowest_above(rank));
    }
    CHECK(heap_lowest(&heap, above, 0) == heap.top);
    while (heap.top) {
        take_out(heap.top);
        CHECK(heap.top == oldest());
    }
    CHECK(!oldest());
}

static void sorts_what_came_in_any_order(void) {
    for (int order = 0; order < 3; order++) {
        begin();
        for (int i = 0; i < MOST; i++) {
            int rank = order == 0 ? i : order == 1 ? MOST - 1 - i : i * 7 % MOST;
            add(i, 1 + (uint64_t)rank);
        }
        for (uint64_t rank = 1; rank <= MOST; rank++) {
            CHECK(heap.top->rank == rank);
            take_out(heap.top);
        }
        CHECK(!heap.top);
    }
}

int main(void) {
    sorts_what_came_in_any_order();
    for (uint64_t run = 1; run <= runs(500); run++) {
        has_the_oldest_on_top_whatever_happens(run);
    }
    return checked("heap");
}
