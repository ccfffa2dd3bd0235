#include "check.h"
#include "core/offset_tracker.h"

#include "allocation.h"

#define SPIKE 100000

static struct offset_tracker tracker;
static struct item items[SPIKE];
static int64_t next_offset;

static void receive(int index, int64_t offset) {
    items[index].offset = offset;
    CHECK(offset_tracker_receive(&tracker, &items[index]));
}

static void finish(int from, int upto) {
    for (int i = from; i < upto; i++) {
        offset_tracker_finish(&tracker, &items[i]);
    }
}

static uint64_t settle(bool latest) {
    return offset_tracker_claim(&tracker, latest) ? offset_tracker_settle(&tracker, true) : 0;
}

/* What it holds, in entries. */
static size_t held(void) {
    return offset_tracker_bytes(&tracker) / sizeof(struct tracked);
}

static void check_held(void) {
    size_t window = tracker.length, late = tracker.late_length;
    CHECK(held() <= (window < 8 ? 64 : 8 * window) + (late == 0 ? 0 : late < 8 ? 64 : 8 * late));
}

static void gives_back_all_but_a_little_once_empty(void) {
    offset_tracker_init(&tracker);
    for (int i = 0; i < SPIKE; i++) {
        receive(i, i % 3 ? i : SPIKE - i); /* a third of them late */
    }
    finish(0, SPIKE);
    CHECK(settle(true) == SPIKE && held() <= 64);
    offset_tracker_clear(&tracker);
}

static void shrinks_beside_one_that_is_left(bool late) {
    offset_tracker_init(&tracker);
    if (late) {
        receive(0, (int64_t)2 * SPIKE); /* whatever comes is late */
    }
    for (int i = late; i < SPIKE; i++) {
        receive(i, i);
    }
    finish(late, SPIKE - 1);
    CHECK(settle(true) == (uint64_t)SPIKE - 1 - late && held() <= 128);
    finish(SPIKE - 1, SPIKE);
    if (late) {
        finish(0, 1);
    }
    CHECK(settle(true) == (uint64_t)1 + late && held() <= 64);
    offset_tracker_clear(&tracker);
}

/* Also when each claim takes one, and when there is no memory for something smaller. */
static void shrinks_little_by_little(void) {
    offset_tracker_init(&tracker);
    for (int i = 0; i < SPIKE / 10; i++) {
        receive(i, i % 2 ? i : SPIKE / 10 - i);
    }
    finish(0, SPIKE / 10);
    uint64_t settled = 0;
    while (tracker.length || tracker.late_length) {
        allocations_left = 0;
        settled += settle(false);
        allocations_left = -1;
        settled += settle(false);
        check_held();
    }
    CHECK(settled == SPIKE / 10 && tracker.acknowledged == SPIKE / 10);
    offset_tracker_clear(&tracker);
}

/* Bursts and ebbs, from every place in the ring: nothing gets lost when the window moves. */
static void keeps_its_entries_whatever_moves(uint64_t run) {
    random_seed(run);
    offset_tracker_init(&tracker);
    next_offset = 0;
    int first = 0, end = 0; /* items[first, end) are unfinished, oldest first */
    for (int step = 0; step < 40; step++) {
        for (uint32_t left = random_below(random_below(4) ? 60u : 1500u); left > 0; left--) {
            receive(end++, next_offset++);
        }
        int upto = first + (int)random_below((uint32_t)(end - first + 1));
        finish(first, upto);
        first = upto;
        allocations_left = random_below(4) ? -1 : 0;
        settle(true);
        allocations_left = -1;
        const struct tracked *oldest = offset_tracker_oldest(&tracker);
        CHECK(first == end ? !oldest : oldest && oldest->item == &items[first]);
        CHECK(tracker.length == (uint32_t)(end - first));
    }
    finish(first, end);
    settle(true);
    CHECK(held() <= 64 && tracker.acknowledged == next_offset - 1);
    offset_tracker_clear(&tracker);
}

int main(void) {
    gives_back_all_but_a_little_once_empty();
    shrinks_beside_one_that_is_left(false);
    shrinks_beside_one_that_is_left(true);
    shrinks_little_by_little();
    for (uint64_t run = 1; run <= runs(500); run++) {
        keeps_its_entries_whatever_moves(run);
    }
    return checked("offset_tracker_memory");
}
