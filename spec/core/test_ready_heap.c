#include "check.h"
#include "core/ready_heap.h"

#include <stdbool.h>
#include <stddef.h>

#define MOST 300

/* The naive model: which queues are in, and by which rank. */
static struct sub_key_queue queues[MOST];
static uint64_t ranks[MOST];
static bool inside[MOST];
static struct ready_heap heap;

static void begin(void) {
    heap = (struct ready_heap){0};
    for (int i = 0; i < MOST; i++) {
        sub_key_queue_init(&queues[i]);
        inside[i] = false;
    }
}

static struct sub_key_queue *oldest(void) {
    struct sub_key_queue *found = NULL;
    for (int i = 0; i < MOST; i++) {
        if (inside[i] && (!found || ranks[i] < found->rank)) {
            found = &queues[i];
        }
    }
    return found;
}

static void add(int index, uint64_t rank) {
    ranks[index] = rank;
    inside[index] = true;
    ready_heap_add(&heap, &queues[index], rank);
    CHECK(queues[index].rank == rank);
}

static void take_out(struct sub_key_queue *queue) {
    inside[queue - queues] = false;
    ready_heap_remove(&heap, queue);
    CHECK(queue->rank == 0);
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
            take_out(&queues[index]); /* from anywhere, as a revoke does */
        } else if (heap.top) {
            take_out(heap.top);
        }
        CHECK(heap.top == oldest());
    }
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
    return checked("ready_heap");
}
