#include "results.h"

void results_init(struct results *results, bool ordered, size_t size) {
    *results = (struct results){.ordered = ordered, .highest = -1};
    pool_init(&results->seats, size);
    list_init(&results->all);
}

static void append(struct results *results, struct seat *seat) {
    seat->next = NULL;
    if (results->last) {
        results->last->next = seat;
    } else {
        results->first = seat;
    }
    results->last = seat;
}

static void shift(struct results *results) {
    results->first = results->first->next;
    if (!results->first) {
        results->last = NULL;
    }
}

struct seat *results_enter(struct results *results, int64_t index, uintptr_t value) {
    struct seat *seat = pool_acquire(&results->seats);
    if (!seat) {
        return NULL;
    }
    *seat = (struct seat){.index = index, .value = value, .state = SEAT_WAITING};
    list_append(&results->all, &seat->link);
    if (results->ordered && index > results->highest) {
        append(results, seat);
    } else if (results->ordered) {
        heap_add(&results->late, &seat->node, (uint64_t)index + 1);
    }
    if (index > results->highest) {
        results->highest = index;
    }
    results->inside++;
    return seat;
}

void results_settle(struct results *results, struct seat *seat, enum seat_state state, uintptr_t value) {
    seat->state = state;
    seat->value = value;
    if (!results->ordered && !seat->left) {
        append(results, seat);
    }
}

static bool settled(const struct seat *seat) {
    return seat->state >= SEAT_VALUE;
}

struct seat *results_next(const struct results *results) {
    struct seat *seat = results->first;
    if (results->late.top) {
        struct seat *late = HEAP_ENTRY(results->late.top, struct seat, node);
        seat = !seat || late->index <= seat->index ? late : seat;
    }
    return seat && settled(seat) ? seat : NULL;
}

void results_take(struct results *results, struct seat *seat) {
    if (seat->node.rank) {
        heap_remove(&results->late, &seat->node);
    } else {
        shift(results);
    }
    results->inside--;
    results_free(results, seat);
}

void results_leave_all(struct results *results) {
    struct list *link;
    list_each(link, &results->all) {
        LIST_ENTRY(link, struct seat, link)->left = true;
    }
    results->first = results->last = NULL;
    results->late.top = NULL;
    results->inside = 0;
}

void results_free(struct results *results, struct seat *seat) {
    list_remove(&seat->link);
    pool_release(&results->seats, seat);
}
