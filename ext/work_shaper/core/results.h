/*
 * results - what was pushed into a stream and not taken yet, and whose turn it is.
 *
 * An input has a seat from its push until its result is taken. Ordered, results come out by ascending index: an input
 * that is pushed with a higher index than all before it goes to the end of a list, any other to a heap, so that a late
 * one comes out at its turn, or at once. Unordered, they come out as they are settled.
 *
 * A deterministic machine without threads or clocks. Inputs, results and errors are the caller's; here they are only
 * carried.
 */
#ifndef WORK_SHAPER_CORE_RESULTS_H
#define WORK_SHAPER_CORE_RESULTS_H

#include "heap.h"
#include "list.h"
#include "pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum seat_state {
    SEAT_WAITING, /* its work has not begun, or is to be tried again */
    SEAT_RUNNING,
    SEAT_VALUE,   /* settled: there is a result */
    SEAT_ERROR,   /* settled: it failed, which is to be told at its turn */
    SEAT_SKIPPED, /* settled: nothing comes out */
};

/* To be the first member of what the caller keeps of an input. */
struct seat {
    struct list link;  /* among all */
    struct seat *next; /* in the list of the ascending, or of the settled */
    struct heap_node node;
    int64_t index;
    uintptr_t value; /* the input; once settled the result or the error */
    enum seat_state state;
    bool left; /* nobody waits for it any more: it is in no order, and freed once its work is over */
};

struct results {
    struct pool seats;
    struct list all;           /* every seat */
    struct seat *first, *last; /* ordered: by ascending index; unordered: settled ones, the oldest first */
    struct heap late;          /* ordered: those that were pushed with an index that was not the highest, by index */
    bool ordered;
    uint32_t inside; /* seats that are taken */
    int64_t highest; /* index that was ever pushed, or -1 */
};

/*
 * results_init - Makes it empty. It must not move from now on. Allocates nothing.
 *
 * size: of the struct of which a seat is the first member.
 */
void results_init(struct results *results, bool ordered, size_t size);

/*
 * results_enter - Takes a seat for an input.
 *
 * index: 0 or more. Returns NULL when there is no memory; nothing has changed then.
 */
struct seat *results_enter(struct results *results, int64_t index, uintptr_t value);

/*
 * results_settle - What became of an input that was not settled.
 */
void results_settle(struct results *results, struct seat *seat, enum seat_state state, uintptr_t value);

/*
 * results_next - The settled seat whose turn it is, or NULL.
 */
struct seat *results_next(const struct results *results);

/*
 * results_take - Takes out the seat that results_next returned, and frees it.
 */
void results_take(struct results *results, struct seat *seat);

/*
 * results_leave_all - Nobody waits for any of them any more. Each stays among all until results_free.
 */
void results_leave_all(struct results *results);

/*
 * results_free - Frees a seat that was left.
 */
void results_free(struct results *results, struct seat *seat);

#endif
