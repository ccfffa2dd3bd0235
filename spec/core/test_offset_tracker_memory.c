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

static uint64_t settle(void) {
    return offset_tracker_claim(&tracker) ? offset_tracker_settle(&tracker, true) : 0;
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
    offset_tracker_init(&tracker, true);
    for (int i = 0; i < SPIKE; i++) {
        receive(i, i % 3 ? i : SPIKE - i); /* a third of them late */
    }
    finish(0, SPIKE);
    CHECK(settle() == SPIKE && held() <= 64);
    offset_tracker_clear(&tracker);
}

static void shrinks_beside_one_that_is_left(bool late) {
    offset_tracker_init(&tracker, true);
    if (late) {
        receive(0, (int64_t)2 * SPIKE); /* whatever comes is late */
    }
    for (int i = late; i < SPIKE; i++) {
        receive(i, i);
    }
    finish(late, SPIKE - 1);
    CHECK(settle() == (uint64_t)SPIKE - 1 - late && held() <= 128);
    finish(SPIKE - 1, SPIKE);
    if (late) {
        finish(0, 1);
    }
    CHECK(settle() == (uint64_t)1 + late && held() <= 64);
    offset_tracker_clear(&tracker);
}

/* Also when each claim takes one, and when there is no memory for something smaller. */
static void shrinks_little_by_little(void) {
    offset_tracker_init(&tracker, false);
    for (int i = 0; i < SPIKE / 10; i++) {
        receive(i, i % 2 ? i : SPIKE / 10 - i);
    }
    finish(0, SPIKE / 10);
    uint64_t settled = 0;
    while (tracker.length || tracker.late_length) {
        allocations_left = 0;
        settled += settle();
        allocations_left = -1;
        settled += settle();
        check_held();
    }
    CHECK(settled == SPIKE / 10 && tracker.acknowledged == SPIKE / 10);
    offset_tracker_clear(&tracker);
}

/* Bursts and ebbs, from every place in the ring: nothing gets lost when the window moves. */
static void keeps_its_entries_whatever_moves(uint64_t run) {
    random_seed(run);
    offset_tracker_init(&tracker, true);
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
        settle();
        allocations_left = -1;
        const struct tracked *oldest = offset_tracker_oldest(&tracker);
        CHECK(first == end ? !oldest : oldest && oldest->item == &items[first]);
        CHECK(tracker.length == (uint32_t)(end - first));
    }
    finish(first, end);
    settle();
    CHECK(held() <= 64 && tracker.acknowledged == next_offset - 1);
    offset_tracker_clear(&tracker);
}

/* Ten million offsets that are finished behind one that is not: without gaps, or with a gap after every `apart`. */
#define FINISHED 10000000

static struct item stuck, passing;

static int64_t finish_behind_stuck(int apart) {
    stuck.offset = 5;
    CHECK(offset_tracker_receive(&tracker, &stuck));
    int64_t offset = stuck.offset;
    for (int i = 0; i < FINISHED; i++) {
        offset += i % apart ? 1 : 3;
        passing.offset = offset;
        CHECK(offset_tracker_receive(&tracker, &passing));
        offset_tracker_finish(&tracker, &passing);
        CHECK(!offset_tracker_claimable(&tracker) && held() <= 64);
    }
    return offset;
}

static void keeps_little_of_what_is_finished(bool latest, int apart) {
    offset_tracker_init(&tracker, latest);
    int64_t last = finish_behind_stuck(apart);
    CHECK(offset_tracker_pending(&tracker) == FINISHED + 1);
    CHECK(offset_tracker_highest_finished(&tracker) == last);
    CHECK(offset_tracker_oldest(&tracker)->item == &stuck);
    offset_tracker_finish(&tracker, &stuck);
    uint64_t settled = settle();
    CHECK(settled == (latest ? FINISHED + 1 : 1) && tracker.acknowledged == (latest ? last : stuck.offset));
    for (int64_t offset = stuck.offset; settled < FINISHED + 1; settled++) {
        CHECK(settle() == 1);
        offset += offset == stuck.offset ? 3 : 1;
        CHECK(tracker.acknowledged == offset);
    }
    CHECK(offset_tracker_pending(&tracker) == 0 && !offset_tracker_claimable(&tracker));
    offset_tracker_clear(&tracker);
}

/* One in a hundred is unfinished, and they finish in any order. */
static void costs_what_is_unfinished(bool latest) {
    enum { UNFINISHED = SPIKE / 100 };
    offset_tracker_init(&tracker, latest);
    for (int i = 0; i < SPIKE; i++) {
        receive(i, i);
        if (i % 100) {
            finish(i, i + 1);
        }
    }
    CHECK(held() <= 4 * (2 * (size_t)UNFINISHED + 1));
    uint64_t settled = 0;
    for (int i = 0; i < UNFINISHED; i++) {
        int index = i * 337 % UNFINISHED * 100; /* each once: the two have no common factor */
        finish(index, index + 1);
        settled += settle();
    }
    while (offset_tracker_claimable(&tracker)) {
        settled += settle();
    }
    CHECK(settled == SPIKE && tracker.acknowledged == SPIKE - 1 && held() <= 64);
    offset_tracker_clear(&tracker);
}

int main(void) {
    keeps_little_of_what_is_finished(true, INT32_MAX);
    keeps_little_of_what_is_finished(true, 2);
    keeps_little_of_what_is_finished(false, INT32_MAX);
    costs_what_is_unfinished(true);
    costs_what_is_unfinished(false);

    gives_back_all_but_a_little_once_empty();
    shrinks_beside_one_that_is_left(false);
    shrinks_beside_one_that_is_left(true);
    shrinks_little_by_little();
    for (uint64_t run = 1; run <= runs(500); run++) {
        keeps_its_entries_whatever_moves(run);
    }
    return checked("offset_tracker_memory");
}
