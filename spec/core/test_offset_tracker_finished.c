/* What comes in finished, since it was worked on in another assignment. */
#include "check.h"
#include "core/offset_tracker.h"

#include "allocation.h"
#include <string.h>

static struct offset_tracker tracker;
static struct item items[200];

static void pass(int64_t offset) {
    CHECK(offset_tracker_receive_finished(&tracker, offset));
}

static struct item *receive(int index, int64_t offset) {
    items[index].offset = offset;
    CHECK(offset_tracker_receive(&tracker, &items[index]));
    return &items[index];
}

/* Claims and settles: one claim of so many offsets, up to one of them. */
static void settle(int64_t offset, uint64_t count) {
    CHECK(offset_tracker_claimable(&tracker));
    const struct claim *claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->due && claim->offset == offset && claim->count == count);
    CHECK(offset_tracker_settle(&tracker, true) == count && tracker.acknowledged == offset);
}

static void check_nothing_to_claim(void) {
    CHECK(!offset_tracker_claimable(&tracker) && !offset_tracker_claim(&tracker));
}

static void never(struct item *item, void *data) {
    CHECK(!item && !data);
}

/* What it holds, in entries. */
static size_t held(void) {
    return offset_tracker_bytes(&tracker) / sizeof(struct tracked);
}

static void is_acknowledged_unseen(bool latest) {
    const int64_t offsets[] = {0, 1, 7, 1000000007, INT64_MAX};
    offset_tracker_init(&tracker, latest);
    for (int i = 0; i < 5; i++) {
        pass(offsets[i]);
        CHECK(tracker.highest == offsets[i] && tracker.received == (uint64_t)i + 1);
        CHECK(offset_tracker_pending(&tracker) == (uint64_t)i + 1 && tracker.acknowledged == OFFSET_NONE);
        CHECK(offset_tracker_highest_finished(&tracker) == offsets[i]);
        CHECK(!offset_tracker_settled(&tracker, offsets[i]) && offset_tracker_settled(&tracker, OFFSET_NONE));
    }
    CHECK(!offset_tracker_oldest(&tracker));
    offset_tracker_each_unfinished(&tracker, never, NULL);
    offset_tracker_each_run(&tracker, NULL, NULL); /* nothing is beyond something unfinished */
    for (int i = latest ? 4 : 0; i < 5; i++) {
        settle(offsets[i], latest ? 5 : 1);
    }
    check_nothing_to_claim();
    CHECK(offset_tracker_pending(&tracker) == 0 && offset_tracker_settled(&tracker, INT64_MAX));
    CHECK(tracker.waiting + tracker.running + tracker.abandoned + tracker.unfinished == 0);
    offset_tracker_clear(&tracker);
}

static bool next_run(int64_t first, int64_t last, void *data) {
    int64_t **expected = data;
    CHECK(first == (*expected)[0] && last == (*expected)[1]);
    *expected += 2;
    return true;
}

static void is_held_up_by_what_is_unfinished_below_it(bool latest) {
    int64_t runs[] = {6, 9, 11, 12, 14, 20, 0, 0}, *expected = runs;
    offset_tracker_init(&tracker, latest);
    pass(3);
    const struct item *five = receive(0, 5);
    pass(7);
    pass(9);
    const struct item *ten = receive(1, 10);
    pass(12);
    const struct item *thirteen = receive(2, 13);
    pass(20);
    offset_tracker_each_run(&tracker, next_run, &expected);
    CHECK(expected == runs + 6);
    settle(3, 1);
    check_nothing_to_claim();
    offset_tracker_finish(&tracker, ten);
    check_nothing_to_claim();
    CHECK(offset_tracker_oldest(&tracker)->item == five);
    offset_tracker_finish(&tracker, five);
    const int64_t turns[] = {5, 7, 9, 10, 12};
    for (int i = latest ? 4 : 0; i < 5; i++) {
        settle(turns[i], latest ? 5 : 1);
    }
    check_nothing_to_claim();
    offset_tracker_abandon(&tracker, thirteen); /* it never passes it */
    check_nothing_to_claim();
    pass(21);
    check_nothing_to_claim();
    CHECK(offset_tracker_pending(&tracker) == 3 && offset_tracker_highest_finished(&tracker) == 21);
    CHECK(offset_tracker_oldest(&tracker)->item == &offset_tracker_abandoned);
    offset_tracker_clear(&tracker);
}

/* A lower offset, or the same again, is received as unfinished. */
static void is_held_up_by_what_comes_late(bool latest, int64_t late) {
    offset_tracker_init(&tracker, latest);
    pass(4);
    pass(8);
    const struct item *again = receive(0, late);
    CHECK(again->late && tracker.highest == 8);
    if (late == 8) {
        settle(4, 1); /* nothing holds it up */
    }
    check_nothing_to_claim();
    pass(9);
    check_nothing_to_claim();
    offset_tracker_finish(&tracker, again);
    const int64_t turns[] = {late, 4, 8, 9};
    for (int i = latest ? 3 : late == 8 ? 2 : 0; i < 4; i++) {
        bool repeats = late == 8 && (latest || turns[i] == 8);
        settle(turns[i], latest ? 4 - (late == 8) : 1 + repeats);
    }
    CHECK(offset_tracker_pending(&tracker) == 0);
    offset_tracker_clear(&tracker);
}

static void is_no_part_of_a_claim_that_is_underway(bool latest, bool cut_off) {
    offset_tracker_init(&tracker, latest);
    pass(0);
    const struct claim *claim = offset_tracker_claim(&tracker);
    pass(1);
    pass(5);
    CHECK(!offset_tracker_claimable(&tracker) && !offset_tracker_claim(&tracker)); /* one at a time */
    CHECK(claim->underway && claim->offset == 0 && claim->count == 1 && offset_tracker_pending(&tracker) == 2);
    if (cut_off) {
        CHECK(offset_tracker_unclaim(&tracker) == 0 && offset_tracker_pending(&tracker) == 3);
    } else {
        CHECK(offset_tracker_settle(&tracker, false) == 1 && tracker.acknowledged == OFFSET_NONE); /* refused */
    }
    if (latest) {
        settle(5, 2 + (uint64_t)cut_off);
    } else {
        const int64_t turns[] = {0, 1, 5};
        for (int i = !cut_off; i < 3; i++) {
            settle(turns[i], 1);
        }
    }
    check_nothing_to_claim();
    offset_tracker_clear(&tracker);
}

static void is_forgotten_with_everything(void) {
    offset_tracker_init(&tracker, false);
    for (int64_t offset = 0; offset < 200; offset++) {
        pass(offset);
    }
    CHECK(offset_tracker_claim(&tracker) && tracker.claim.offset == 0);
    offset_tracker_clear(&tracker);
    tracker.revoked = true;
    CHECK(offset_tracker_pending(&tracker) == 0 && held() == 0);
    CHECK(offset_tracker_settle(&tracker, true) == 1);
    check_nothing_to_claim(); /* I6 */
}

struct seen {
    uint64_t received, pending, bytes, length, merged;
    int64_t highest, highest_finished, passed;
};

static struct seen look(void) {
    return (struct seen){.received = tracker.received,
                         .pending = offset_tracker_pending(&tracker),
                         .bytes = offset_tracker_bytes(&tracker),
                         .length = tracker.length,
                         .merged = tracker.merged,
                         .highest = tracker.highest,
                         .highest_finished = offset_tracker_highest_finished(&tracker),
                         .passed = tracker.passed};
}

/* Takes nothing from nothing; then a window of items and passed ones in turn that can neither grow nor be compacted. */
static void is_not_noted_when_memory_runs_out(bool latest) {
    offset_tracker_init(&tracker, latest);
    struct seen before = look(), after;
    allocations_left = 0;
    CHECK(!offset_tracker_receive_finished(&tracker, 7));
    after = look();
    CHECK(!memcmp(&before, &after, sizeof after));
    allocations_left = 1;
    CHECK(offset_tracker_receive_finished(&tracker, 0) && allocations_left == 0);
    for (int i = 1; i < 64; i++) { /* no memory for each */
        i % 2 ? (void)receive(i, i) : pass(i);
    }
    before = look();
    CHECK(!offset_tracker_receive_finished(&tracker, 64));
    after = look();
    CHECK(!memcmp(&before, &after, sizeof after));
    allocations_left = -1;
    pass(65); /* another one, as far as it knows */
    for (int i = 1; i < 64; i += 2) {
        CHECK(offset_tracker_oldest(&tracker)->item == &items[i]);
        offset_tracker_finish(&tracker, &items[i]);
    }
    uint64_t settled = 0;
    while (offset_tracker_claim(&tracker)) {
        settled += offset_tracker_settle(&tracker, true);
    }
    CHECK(settled == 65 && tracker.received == 65 && tracker.acknowledged == 65);
    offset_tracker_clear(&tracker);
}

/* A window can be full of neighbours: they become runs, and that takes no memory. */
static void costs_no_more_than_what_is_unfinished(bool latest, int64_t apart) {
    enum { PASSED = 1000000 };
    offset_tracker_init(&tracker, latest);
    allocations_left = 1;
    const struct item *stuck = receive(0, 5);
    for (int64_t i = 1; i <= PASSED; i++) {
        pass(5 + i * apart);
        CHECK(held() == 64);
    }
    allocations_left = -1;
    CHECK(offset_tracker_pending(&tracker) == PASSED + 1 && tracker.received == PASSED + 1);
    int64_t last = 5 + PASSED * apart, runs[] = {6, last, 0, 0}, *expected = runs;
    offset_tracker_each_run(&tracker, next_run, &expected);
    CHECK(expected == runs + 2 && offset_tracker_highest_finished(&tracker) == last);
    CHECK(tracker.known == PASSED && offset_tracker_finished_above(&tracker, 5) == PASSED);
    CHECK(offset_tracker_finished_above(&tracker, last) == 0);
    check_nothing_to_claim();
    offset_tracker_finish(&tracker, stuck);
    if (latest) {
        settle(last, PASSED + 1);
    } else {
        for (int64_t offset = 5; offset <= last; offset++) {
            settle(offset, 1);
        }
    }
    CHECK(offset_tracker_pending(&tracker) == 0 && held() <= 64);
    offset_tracker_clear(&tracker);
}

/* It is known of each whether it is up to the mark, also of those that are kept as runs. */
static void is_on_its_side_of_the_mark(void) {
    offset_tracker_init(&tracker, false);
    const struct item *stuck = receive(0, 0);
    for (int64_t offset = 1; offset < 300; offset++) {
        pass(offset);
        if (offset == 100) {
            tracker.mark = offset;
        }
    }
    CHECK(held() == 64);
    offset_tracker_finish(&tracker, stuck);
    for (int64_t offset = 0; offset < 300; offset++) {
        CHECK(offset_tracker_settled(&tracker, 100) == (offset > 100));
        settle(offset, 1);
    }
    offset_tracker_clear(&tracker);
}

/* Counted is what was received, not how far it goes. */
static void is_counted_above_an_unfinished_one(void) {
    offset_tracker_init(&tracker, true);
    receive(0, 5);
    pass(8);
    pass(20);
    receive(1, 30);
    for (int64_t offset = 31; offset < 231; offset += 2) {
        pass(offset);
    }
    receive(2, 300);
    CHECK(offset_tracker_finished_above(&tracker, 5) == 102 && offset_tracker_finished_above(&tracker, 30) == 100);
    CHECK(offset_tracker_finished_above(&tracker, 300) == 0);
    offset_tracker_clear(&tracker);
}

int main(void) {
    is_counted_above_an_unfinished_one();
    for (int latest = 0; latest < 2; latest++) {
        is_acknowledged_unseen(latest);
        is_held_up_by_what_is_unfinished_below_it(latest);
        is_held_up_by_what_comes_late(latest, 2);
        is_held_up_by_what_comes_late(latest, 8);
        is_no_part_of_a_claim_that_is_underway(latest, false);
        is_no_part_of_a_claim_that_is_underway(latest, true);
        is_not_noted_when_memory_runs_out(latest);
        costs_no_more_than_what_is_unfinished(latest, 1);
    }
    costs_no_more_than_what_is_unfinished(true, 3);
    is_on_its_side_of_the_mark();
    is_forgotten_with_everything();
    return checked("offset_tracker_finished");
}
