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
    uint64_t settled; /* only when it is loose: how many were claimed */
    bool cut_off;     /* a claim was given back and not settled since */
    bool loose;       /* offsets come late within runs, which then may be claimed later than they could be */
    bool stuck;       /* the first offset stays unfinished until the end */
};

static struct offset_tracker tracker;
static struct model model;

static void begin(bool latest) {
    offset_tracker_init(&tracker, latest);
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
static int claim_once(bool interrupted) {
    const struct claim *claim = offset_tracker_claim(&tracker);
    if (!claim) {
        CHECK(!offset_tracker_claimable(&tracker));
        /* A claim that was cut off and then overtaken by a late offset waits for that as a whole. */
        CHECK(model.loose || tracker.claim.count || highest_safe() <= model.passed);
        return 0;
    }
    CHECK(!offset_tracker_claimable(&tracker)); /* one claim at a time */
    CHECK(claim->count > 0);
    if (claim->due) {
        CHECK(claim->offset > model.passed); /* I4 */
        CHECK(safe(claim->offset));          /* I3 */
        CHECK(model.loose || model.cut_off || claim->offset == (tracker.every ? lowest_unclaimed() : highest_safe()));
    }
    if (interrupted && claim->due) {
        offset_tracker_unclaim(&tracker);
        model.cut_off = true;
        return 1;
    }
    model.cut_off = false;
    if (model.loose) {
        model.passed = claim->due ? claim->offset : model.passed;
        model.settled += claim->count;
    } else {
        settle_model(claim);
    }
    bool accepted = random_below(4) != 0, due = claim->due;
    int64_t before = tracker.acknowledged, offset = claim->offset;
    uint64_t count = claim->count;
    CHECK(offset_tracker_settle(&tracker, accepted) == count);
    CHECK(tracker.acknowledged == (accepted && due ? offset : before));
    return 1;
}

/* Whether it would come late within a run of which nobody knows where it begins. */
static bool hidden_in_run(int64_t offset) {
    for (uint32_t i = 0; i < tracker.length && !tracker.every; i++) {
        struct tracked entry = tracker.window[(tracker.head + i) & (tracker.capacity - 1)];
        if (tracked_finished(entry) && entry.run > 3 && entry.offset >= offset) {
            return true;
        }
    }
    return false;
}

static int64_t random_offset(int64_t *next) {
    int64_t late = (int64_t)random_below((uint32_t)*next + 1);
    switch (random_below(8)) {
    case 0: /* out of order, or again */
        if (model.loose || !hidden_in_run(late)) {
            return late;
        }
        return (*next)++;
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
        if (model.fate[candidate] == UNFINISHED && !(model.stuck && candidate == 0)) {
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

struct visited {
    int64_t above; /* the last of the range before */
    int left;      /* how many ranges may still come */
    bool covered[MOST];
};

static bool visit_run(int64_t first, int64_t last, void *data) {
    struct visited *visited = data;
    CHECK(first > visited->above && first <= last && visited->left > 0);
    for (int i = 0; i < model.received; i++) {
        if (model.items[i].offset >= first && model.items[i].offset <= last) {
            CHECK(model.fate[i] == FINISHED || model.fate[i] == CLAIMED);
            visited->covered[i] = true;
        }
    }
    visited->above = last;
    return --visited->left;
}

/* What is finished beyond the lowest unfinished offset is in the ranges; nothing unfinished is. */
static void check_runs(void) {
    int64_t lowest = lowest_unfinished();
    bool late = false; /* something unfinished came late: what is above it may be missing */
    for (int i = 0; i < model.received; i++) {
        late |= model.items[i].late && (model.fate[i] == UNFINISHED || model.fate[i] == ABANDONED);
    }
    struct visited visited = {.above = lowest == INT64_MAX ? 0 : lowest, .left = random_below(4) ? INT32_MAX : 1};
    bool all = visited.left > 1;
    offset_tracker_each_run(&tracker, visit_run, &visited);
    for (int i = 0; i < model.received && all && !late && !model.loose; i++) {
        bool beyond = model.fate[i] == FINISHED && model.items[i].offset > lowest;
        CHECK(!beyond || model.items[i].late || visited.covered[i]);
    }
}

static void keeps_the_invariants_whatever_happens(uint64_t run) {
    random_seed(run);
    bool latest = random_below(2);
    begin(latest);
    int64_t next = (int64_t)random_below(3) * 1000;
    bool abandons = random_below(10) == 0;
    model.stuck = random_below(2);
    model.loose = latest && random_below(4) == 0;
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
            claim_once(random_below(5) == 0);
        }
        check_oldest();
        check_runs();
    }
    for (int i = 0; i < model.received; i++) {
        if (model.fate[i] == UNFINISHED) {
            finish(i);
        }
    }
    while (claim_once(false)) {
    }
    int abandoned = 0, left = 0;
    if (model.loose) {
        take_claimed(0, INT64_MAX, model.settled);
    }
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
    begin(false);
    for (int offset = 0; offset < 300; offset++) {
        receive(offset);
    }
    for (int i = 299; i >= 0; i--) {
        CHECK(!offset_tracker_claimable(&tracker));
        finish(i);
    }
    for (int offset = 0; offset < 300; offset++) {
        const struct claim *claim = offset_tracker_claim(&tracker);
        CHECK(claim && claim->due && claim->offset == offset && claim->count == 1);
        offset_tracker_settle(&tracker, true);
    }
    CHECK(offset_tracker_claim(&tracker) == NULL);
    offset_tracker_clear(&tracker);
}

static void takes_the_ends_of_the_range(void) {
    begin(true);
    finish(receive(0));
    finish(receive(INT64_MAX));
    const struct claim *claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->offset == INT64_MAX && claim->count == 2);
    offset_tracker_settle(&tracker, true);
    CHECK(tracker.acknowledged == INT64_MAX);
    offset_tracker_clear(&tracker);
}

static void holds_a_repeated_offset_back_until_both_are_finished(void) {
    begin(false);
    int first = receive(5), again = receive(5), late = receive(3);
    finish(first);
    CHECK(!offset_tracker_claim(&tracker));
    finish(late);
    const struct claim *claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->offset == 3);
    offset_tracker_settle(&tracker, true);
    CHECK(!offset_tracker_claim(&tracker));
    finish(again);
    claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->due && claim->offset == 5 && claim->count == 2 && claim->repeated == 1);
    offset_tracker_settle(&tracker, true);
    offset_tracker_clear(&tracker);
}

static void takes_no_late_offset_for_a_repeated_one_before_the_higher_is_acknowledged(void) {
    begin(false);
    int first = receive(5), again = receive(5);
    finish(first);
    CHECK(!offset_tracker_claim(&tracker)); /* 5 is not passed by this */
    finish(receive(2));
    const struct claim *claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->due && claim->offset == 2 && claim->repeated == 0);
    offset_tracker_settle(&tracker, true);
    finish(again);
    claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->offset == 5 && claim->count == 2);
    offset_tracker_settle(&tracker, true);
    offset_tracker_clear(&tracker);
}

static void forgets_all_but_an_underway_claim(void) {
    begin(false);
    finish(receive(0));
    receive(1);
    CHECK(offset_tracker_claim(&tracker));
    offset_tracker_clear(&tracker);
    tracker.revoked = true;
    CHECK(offset_tracker_pending(&tracker) == 0);
    CHECK(!offset_tracker_claimable(&tracker));
    CHECK(offset_tracker_settle(&tracker, true) == 1);
    CHECK(offset_tracker_claim(&tracker) == NULL); /* I6 */
}

static void forgets_a_claim_that_was_cut_off_once_revoked(void) {
    begin(false);
    finish(receive(0));
    CHECK(offset_tracker_claim(&tracker));
    CHECK(offset_tracker_unclaim(&tracker) == 0); /* not yet: it is offered again */
    CHECK(offset_tracker_claim(&tracker));
    offset_tracker_clear(&tracker);
    tracker.revoked = true;
    CHECK(offset_tracker_unclaim(&tracker) == 1);
    CHECK(offset_tracker_pending(&tracker) == 0 && !offset_tracker_claimable(&tracker));
}

static void is_unchanged_when_memory_runs_out(void) {
    begin(true);
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
        begin(true);
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
    const struct claim *claim = offset_tracker_claim(&tracker);
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
