#include "check.h"
#include "core/offset_tracker.h"

#include "allocation.h"
#include <string.h>

#define MOST 400

/* The naive model: everything that was received, and what became of it. */
enum fate { UNFINISHED, FINISHED, CLAIMED, ABANDONED };

struct model {
    struct item items[MOST];
    enum fate fate[MOST];
    int received;
    int64_t passed;
    bool cut_off; /* a claim was given back and not settled since */
};

static struct offset_tracker tracker;
static struct model model;

static void begin(void) {
    offset_tracker_init(&tracker);
    memset(&model, 0, sizeof model);
    model.passed = OFFSET_NONE;
}

static int receive(int64_t offset) {
    int index = model.received++;
    model.items[index].offset = offset;
    CHECK(offset_tracker_receive(&tracker, &model.items[index]));
    return index;
}

static void finish(int index) {
    offset_tracker_finish(&tracker, &model.items[index]);
    model.fate[index] = FINISHED;
}

/* Whether every offset up to this one that was received is finished: I3, word for word. */
static int safe(int64_t offset) {
    for (int i = 0; i < model.received; i++) {
        if (model.items[i].offset <= offset && (model.fate[i] == UNFINISHED || model.fate[i] == ABANDONED)) {
            return 0;
        }
    }
    return 1;
}

/* The highest finished offset that may be acknowledged, or OFFSET_NONE. */
static int64_t highest_safe(void) {
    int64_t highest = OFFSET_NONE;
    for (int i = 0; i < model.received; i++) {
        if (model.items[i].offset > highest && safe(model.items[i].offset)) {
            highest = model.items[i].offset;
        }
    }
    return highest;
}

/* Lets up to `most` finished offsets from `from` to `upto` be claimed. Returns how many were. */
static uint64_t take_claimed(int64_t from, int64_t upto, uint64_t most) {
    uint64_t count = 0;
    for (int i = 0; i < model.received && count < most; i++) {
        if (model.fate[i] == FINISHED && model.items[i].offset >= from && model.items[i].offset <= upto) {
            model.fate[i] = CLAIMED;
            count++;
        }
    }
    return count;
}

static int64_t lowest_unfinished(void) {
    int64_t lowest = INT64_MAX;
    for (int i = 0; i < model.received; i++) {
        if ((model.fate[i] == UNFINISHED || model.fate[i] == ABANDONED) && model.items[i].offset < lowest) {
            lowest = model.items[i].offset;
        }
    }
    return lowest;
}

static int64_t lower(int64_t left, int64_t right) {
    return left < right ? left : right;
}

/* What a claim stands for: all that is finished up to its offset; if it is for repeated offsets only, all below the
 * lowest unfinished one, and perhaps some that are equal to that. */
static void settle_model(const struct claim *claim) {
    int64_t blocked = lowest_unfinished();
    int64_t upto = claim->due ? claim->offset : lower(model.passed, blocked - 1);
    uint64_t count = take_claimed(0, upto, UINT64_MAX);
    CHECK(count <= claim->count);
    if (!claim->due) {
        count += take_claimed(blocked, lower(blocked, model.passed), claim->count - count);
    }
    CHECK(count == claim->count);
    if (claim->due) {
        model.passed = claim->offset;
    }
}

/* The lowest finished offset that was never claimed: with one at a time it is the next. */
static int64_t lowest_unclaimed(void) {
    int64_t lowest = INT64_MAX;
    for (int i = 0; i < model.received; i++) {
        int64_t offset = model.items[i].offset;
        if (model.fate[i] == FINISHED && offset > model.passed && offset < lowest) {
            lowest = offset;
        }
    }
    return lowest;
}

/* Claims once and checks the claim against the model. Returns whether there was one. */
static int claim_once(bool latest, bool interrupted) {
    const struct claim *claim = offset_tracker_claim(&tracker, latest);
    if (!claim) {
        CHECK(!offset_tracker_claimable(&tracker));
        /* A claim that was cut off and then overtaken by a late offset waits for that as a whole. */
        CHECK(tracker.claim.count || highest_safe() <= model.passed);
        return 0;
    }
    CHECK(!offset_tracker_claimable(&tracker)); /* one claim at a time */
    CHECK(claim->count > 0);
    if (claim->due) {
        CHECK(claim->offset > model.passed); /* I4 */
        CHECK(safe(claim->offset));          /* I3 */
        CHECK(model.cut_off || claim->offset == (latest ? highest_safe() : lowest_unclaimed()));
    }
    if (interrupted && claim->due) {
        offset_tracker_unclaim(&tracker);
        model.cut_off = true;
        return 1;
    }
    model.cut_off = false;
    settle_model(claim);
    bool accepted = random_below(4) != 0, due = claim->due;
    int64_t before = tracker.acknowledged, offset = claim->offset;
    uint64_t count = claim->count;
    CHECK(offset_tracker_settle(&tracker, accepted) == count);
    CHECK(tracker.acknowledged == (accepted && due ? offset : before));
    return 1;
}

static int64_t random_offset(int64_t *next) {
    switch (random_below(8)) {
    case 0: /* out of order, or again */
        return (int64_t)random_below((uint32_t)*next + 1);
    case 1: /* a gap */
        *next += random_below(1000);
        return (*next)++;
    default:
        return (*next)++;
    }
}

static int random_unfinished(void) {
    int index = (int)random_below((uint32_t)model.received);
    for (int i = 0; i < model.received; i++) {
        int candidate = (index + i) % model.received;
        if (model.fate[candidate] == UNFINISHED) {
            return candidate;
        }
    }
    return -1;
}

static void check_oldest(void) {
    int64_t lowest = lowest_unfinished();
    const struct tracked *oldest = offset_tracker_oldest(&tracker);
    CHECK(oldest ? oldest->offset == lowest : lowest == INT64_MAX);
}

static void keeps_the_invariants_whatever_happens(uint64_t run) {
    random_seed(run);
    begin();
    int64_t next = (int64_t)random_below(3) * 1000;
    bool latest = random_below(2);
    bool abandons = random_below(10) == 0;
    uint32_t eager = 1 + random_below(9);
    for (int step = 0; step < 600; step++) {
        uint32_t action = random_below(10);
        if (action < 4 && model.received < MOST) {
            receive(random_offset(&next));
        } else if (action < 4 + eager / 2 && model.received) {
            int index = random_unfinished();
            if (index >= 0 && abandons && random_below(50) == 0) {
                offset_tracker_abandon(&tracker, &model.items[index]);
                model.fate[index] = ABANDONED;
            } else if (index >= 0) {
                finish(index);
            }
        } else if (action == 9) {
            claim_once(latest, random_below(5) == 0);
        }
        check_oldest();
    }
    for (int i = 0; i < model.received; i++) {
        if (model.fate[i] == UNFINISHED) {
            finish(i);
        }
    }
    while (claim_once(latest, false)) {
    }
    int abandoned = 0, left = 0;
    for (int i = 0; i < model.received; i++) {
        abandoned += model.fate[i] == ABANDONED;
        left += model.fate[i] != CLAIMED;
    }
    CHECK(abandoned || left == 0); /* I5 */
    CHECK(offset_tracker_pending(&tracker) == (uint64_t)left);
    CHECK(left || offset_tracker_bytes(&tracker) <= 64 * sizeof(struct tracked));
    offset_tracker_clear(&tracker);
}

static void acknowledges_every_offset_in_turn(void) {
    begin();
    for (int offset = 0; offset < 300; offset++) {
        receive(offset);
    }
    for (int i = 299; i >= 0; i--) {
        CHECK(!offset_tracker_claimable(&tracker));
        finish(i);
    }
    for (int offset = 0; offset < 300; offset++) {
        const struct claim *claim = offset_tracker_claim(&tracker, false);
        CHECK(claim && claim->due && claim->offset == offset && claim->count == 1);
        offset_tracker_settle(&tracker, true);
    }
    CHECK(offset_tracker_claim(&tracker, false) == NULL);
    offset_tracker_clear(&tracker);
}

static void takes_the_ends_of_the_range(void) {
    begin();
    finish(receive(0));
    finish(receive(INT64_MAX));
    const struct claim *claim = offset_tracker_claim(&tracker, true);
    CHECK(claim && claim->offset == INT64_MAX && claim->count == 2);
    offset_tracker_settle(&tracker, true);
    CHECK(tracker.acknowledged == INT64_MAX);
    offset_tracker_clear(&tracker);
}

static void holds_a_repeated_offset_back_until_both_are_finished(void) {
    begin();
    int first = receive(5), again = receive(5), late = receive(3);
    finish(first);
    CHECK(!offset_tracker_claim(&tracker, false));
    finish(late);
    const struct claim *claim = offset_tracker_claim(&tracker, false);
    CHECK(claim && claim->offset == 3);
    offset_tracker_settle(&tracker, true);
    CHECK(!offset_tracker_claim(&tracker, false));
    finish(again);
    claim = offset_tracker_claim(&tracker, false);
    CHECK(claim && claim->due && claim->offset == 5 && claim->count == 2 && claim->repeated == 1);
    offset_tracker_settle(&tracker, true);
    offset_tracker_clear(&tracker);
}

static void takes_no_late_offset_for_a_repeated_one_before_the_higher_is_acknowledged(void) {
    begin();
    int first = receive(5), again = receive(5);
    finish(first);
    CHECK(!offset_tracker_claim(&tracker, false)); /* 5 is not passed by this */
    finish(receive(2));
    const struct claim *claim = offset_tracker_claim(&tracker, false);
    CHECK(claim && claim->due && claim->offset == 2 && claim->repeated == 0);
    offset_tracker_settle(&tracker, true);
    finish(again);
    claim = offset_tracker_claim(&tracker, false);
    CHECK(claim && claim->offset == 5 && claim->count == 2);
    offset_tracker_settle(&tracker, true);
    offset_tracker_clear(&tracker);
}

static void forgets_all_but_an_underway_claim(void) {
    begin();
    finish(receive(0));
    receive(1);
    CHECK(offset_tracker_claim(&tracker, false));
    offset_tracker_clear(&tracker);
    tracker.revoked = true;
    CHECK(offset_tracker_pending(&tracker) == 0);
    CHECK(!offset_tracker_claimable(&tracker));
    CHECK(offset_tracker_settle(&tracker, true) == 1);
    CHECK(offset_tracker_claim(&tracker, true) == NULL); /* I6 */
}

static void forgets_a_claim_that_was_cut_off_once_revoked(void) {
    begin();
    finish(receive(0));
    CHECK(offset_tracker_claim(&tracker, false));
    CHECK(offset_tracker_unclaim(&tracker) == 0); /* not yet: it is offered again */
    CHECK(offset_tracker_claim(&tracker, false));
    offset_tracker_clear(&tracker);
    tracker.revoked = true;
    CHECK(offset_tracker_unclaim(&tracker) == 1);
    CHECK(offset_tracker_pending(&tracker) == 0 && !offset_tracker_claimable(&tracker));
}

static void is_unchanged_when_memory_runs_out(void) {
    begin();
    for (long left = 0; left < 3; left++) {
        allocations_left = left;
        struct item item = {.offset = 1000 + left}, lower = {.offset = 1};
        bool noted = offset_tracker_receive(&tracker, &item);
        CHECK(noted == (left > 0));
        CHECK(tracker.received == (uint64_t)(noted ? 1 : 0));
        if (noted) {
            bool late = offset_tracker_receive(&tracker, &lower);
            CHECK(late == (left > 1));
            CHECK(tracker.late_length == (late ? 1 : 0));
        }
        offset_tracker_clear(&tracker);
        begin();
    }
    allocations_left = -1;
    static struct item items[200];
    for (int i = 0; i < 200; i++) { /* also when a full window cannot grow */
        items[i].offset = i;
        allocations_left = 0;
        bool noted = offset_tracker_receive(&tracker, &items[i]);
        allocations_left = -1;
        CHECK(noted || offset_tracker_receive(&tracker, &items[i]));
        offset_tracker_finish(&tracker, &items[i]);
    }
    const struct claim *claim = offset_tracker_claim(&tracker, true);
    CHECK(claim && claim->count == 200 && claim->offset == 199);
    offset_tracker_settle(&tracker, true);
    offset_tracker_clear(&tracker);
}

int main(void) {
    acknowledges_every_offset_in_turn();
    takes_the_ends_of_the_range();
    holds_a_repeated_offset_back_until_both_are_finished();
    takes_no_late_offset_for_a_repeated_one_before_the_higher_is_acknowledged();
    forgets_all_but_an_underway_claim();
    forgets_a_claim_that_was_cut_off_once_revoked();
    is_unchanged_when_memory_runs_out();
    for (uint64_t run = 1; run <= runs(2000); run++) {
        keeps_the_invariants_whatever_happens(run);
    }
    return checked("offset_tracker");
}
