/* The tracker against a naive model that knows at each step what must be there, word for word: items and what comes in
 * finished, in whatever mix, with claims that are refused or cut off and memory that runs out. */
#include "check.h"
#include "core/offset_tracker.h"

#include "allocation.h"
#include <string.h>

#define MOST 600

enum fate { UNFINISHED, ABANDONED, FINISHED, CLAIMED, SETTLED };

struct received {
    struct item item; /* of what comes in finished: only its offset */
    enum fate fate;
    bool late;
};

static struct offset_tracker tracker;
static struct received all[MOST];
static int received;
static int64_t highest, passed, acknowledged;
static struct claim expected; /* what the claim should be */

static void begin(bool latest) {
    offset_tracker_init(&tracker, latest);
    received = 0;
    highest = passed = acknowledged = OFFSET_NONE;
    expected = (struct claim){0};
}

static bool holds_up(const struct received *one) {
    return one->fate == UNFINISHED || one->fate == ABANDONED;
}

static int count(enum fate fate) {
    int found = 0;
    for (int i = 0; i < received; i++) {
        found += all[i].fate == fate;
    }
    return found;
}

/* The lowest offset that holds up what is above it; of those that came late, or of all. INT64_MAX: none does. */
static int64_t frontier(bool late_only) {
    int64_t lowest = INT64_MAX;
    for (int i = 0; i < received; i++) {
        if (holds_up(&all[i]) && (all[i].late || !late_only) && all[i].item.offset < lowest) {
            lowest = all[i].item.offset;
        }
    }
    return lowest;
}

/* The lowest finished offset that nothing holds up; or NULL. */
static struct received *next_to_claim(void) {
    struct received *next = NULL;
    int64_t blocked = frontier(false);
    for (int i = 0; i < received; i++) {
        bool free = all[i].fate == FINISHED && all[i].item.offset < blocked;
        if (free && (!next || all[i].item.offset < next->item.offset)) {
            next = &all[i];
        }
    }
    return next;
}

/* Whether what is claimed may be acknowledged: nothing unfinished came below it since. */
static bool ripe(void) {
    return expected.count && !(expected.due && frontier(false) <= expected.offset);
}

static void claim(void) {
    struct received *next;
    while ((next = next_to_claim())) {
        int64_t offset = next->item.offset;
        if (tracker.every && expected.due && offset > expected.offset) {
            break;
        }
        next->fate = CLAIMED;
        expected.count++;
        if (offset > passed) {
            passed = expected.offset = offset;
            expected.due = true;
        } else {
            expected.repeated++;
        }
    }
    expected.underway = ripe();
    allocations_left = random_below(8) ? -1 : 0; /* it can do without */
    const struct claim *claimed = offset_tracker_claim(&tracker);
    allocations_left = -1;
    CHECK((claimed != NULL) == expected.underway);
    if (claimed) {
        CHECK(claimed->due == expected.due && claimed->count == expected.count && claimed->underway);
        CHECK(claimed->repeated == expected.repeated && (!claimed->due || claimed->offset == expected.offset));
    }
}

/* Ends a claim, one way or another. */
static void settle(void) {
    if (random_below(4) == 0) {
        CHECK(offset_tracker_unclaim(&tracker) == 0);
        expected.underway = false;
        return;
    }
    bool accepted = random_below(4) != 0;
    CHECK(offset_tracker_settle(&tracker, accepted) == expected.count);
    if (accepted && expected.due) {
        acknowledged = expected.offset;
    }
    for (int i = 0; i < received; i++) {
        if (all[i].fate == CLAIMED) {
            all[i].fate = SETTLED;
        }
    }
    expected = (struct claim){0};
}

static bool note(struct received *one, bool finished) {
    return finished ? offset_tracker_receive_finished(&tracker, one->item.offset)
                    : offset_tracker_receive(&tracker, &one->item);
}

/* Receives one offset; without memory, nothing changes and it comes in again. */
static void receive(int64_t offset, bool finished) {
    struct received *one = &all[received];
    *one = (struct received){.late = offset <= highest, .fate = finished ? FINISHED : UNFINISHED};
    one->item = (struct item){.offset = offset, .message = (uintptr_t)received};
    if (random_below(3) == 0) {
        size_t bytes = offset_tracker_bytes(&tracker);
        allocations_left = 0;
        bool noted = note(one, finished);
        allocations_left = -1;
        CHECK(offset_tracker_bytes(&tracker) == bytes);
        if (noted) {
            goto noted;
        }
        CHECK(tracker.received == (uint64_t)received && tracker.highest == highest);
    }
    CHECK(note(one, finished));
noted:
    received++;
    tracker.running += !finished;
    highest = offset > highest ? offset : highest;
}

/* Of the latest, a run could hide what comes late. */
static bool may_come_late(void) {
    return highest > OFFSET_NONE && (tracker.every || !tracker.merged);
}

static void receive_some(uint32_t finished) {
    if (received == MOST) {
        return;
    }
    if (random_below(12) == 0 && may_come_late()) {
        int64_t back = random_below(2) ? random_below(20) : random_below((uint32_t)received * 2);
        receive(back < highest ? highest - back : 0, false);
        return;
    }
    int64_t gap = random_below(10) ? 0 : random_below(5) ? random_below(4) : (int64_t)random_below(1u << 30u) << 25u;
    receive(highest + 1 + gap, random_below(100) < finished);
}

/* Finishes or abandons one of those that are not. */
static void end_one(bool abandons, bool stuck) {
    int start = received ? (int)random_below((uint32_t)received) : 0;
    for (int i = 0; i < received; i++) {
        int index = (start + i) % received;
        struct received *one = &all[index];
        if (one->fate != UNFINISHED || (stuck && index == 0)) {
            continue;
        }
        tracker.running--;
        if (abandons && random_below(30) == 0) {
            offset_tracker_abandon(&tracker, &one->item);
            one->fate = ABANDONED;
        } else {
            offset_tracker_finish(&tracker, &one->item);
            one->fate = FINISHED;
        }
        return;
    }
}

/* given_up is the lowest of the abandoned, with its message. */
static void check_given_up(void) {
    const struct item *lowest = NULL;
    bool named = false;
    for (int i = 0; i < received; i++) {
        if (all[i].fate == ABANDONED) {
            lowest = lowest && lowest->offset <= all[i].item.offset ? lowest : &all[i].item;
            named |= tracker.given_up_message == all[i].item.message && tracker.given_up == all[i].item.offset;
        }
    }
    CHECK(tracker.given_up == (lowest ? lowest->offset : OFFSET_NONE) && named == (lowest != NULL));
    CHECK(tracker.abandoned == (uint64_t)count(ABANDONED));
    const struct tracked *oldest = offset_tracker_oldest(&tracker);
    if (oldest && oldest->item == &offset_tracker_abandoned) {
        CHECK(oldest->offset == tracker.given_up); /* what keeps the frontier is known */
    }
}

static void check_frontier(void) {
    int64_t lowest = frontier(false);
    const struct tracked *oldest = offset_tracker_oldest(&tracker);
    CHECK(oldest ? oldest->offset == lowest : lowest == INT64_MAX);
    CHECK(offset_tracker_claimable(&tracker) == (!expected.underway && (next_to_claim() || ripe())));
    bool nothing = count(UNFINISHED) + count(ABANDONED) + count(FINISHED) + count(CLAIMED) == 0;
    CHECK(offset_tracker_settled(&tracker, highest) == nothing);
    bool settled = count(CLAIMED) == 0;
    for (int i = 0; i < received; i++) {
        settled &= all[i].fate == SETTLED || all[i].item.offset > tracker.mark;
    }
    CHECK(offset_tracker_settled(&tracker, tracker.mark) == settled);
}

static void check_numbers(void) {
    int tracked = count(UNFINISHED) + count(ABANDONED) + count(FINISHED);
    uint64_t claimed = expected.underway ? 0 : expected.count;
    CHECK(offset_tracker_pending(&tracker) == (uint64_t)tracked + claimed);
    CHECK(tracker.received == (uint64_t)received && tracker.highest == highest && tracker.passed == passed);
    CHECK(tracker.acknowledged == acknowledged);
    int64_t finished = OFFSET_NONE;
    for (int i = 0; i < received; i++) {
        if (!holds_up(&all[i]) && all[i].item.offset > finished) {
            finished = all[i].item.offset;
        }
    }
    CHECK(offset_tracker_highest_finished(&tracker) == finished);
}

static void visit(struct item *item, void *data) {
    int *visited = data;
    CHECK(item == &all[item->message].item && all[item->message].fate == UNFINISHED);
    (*visited)++;
}

struct runs {
    struct {
        int64_t first, last;
    } run[MOST];
    int length;
};

static bool add_run(int64_t first, int64_t last, void *data) {
    struct runs *runs = data;
    runs->run[runs->length].first = first;
    runs->run[runs->length++].last = last;
    return true;
}

/* What should be visited: of what came in order, up to what is late and unfinished. */
static void expect_runs(struct runs *runs) {
    int64_t late = frontier(true), unfinished = OFFSET_NONE, last = OFFSET_NONE;
    for (int i = 0; i < received; i++) {
        if (all[i].late || (unfinished == OFFSET_NONE && !holds_up(&all[i]))) {
            continue;
        }
        if (!holds_up(&all[i]) && all[i].item.offset < late) {
            last = all[i].item.offset;
        } else if (holds_up(&all[i])) {
            if (last != OFFSET_NONE) {
                add_run(unfinished + 1, last, runs);
            }
            unfinished = all[i].item.offset;
            last = OFFSET_NONE;
        }
    }
    if (last != OFFSET_NONE) {
        add_run(unfinished + 1, last, runs);
    }
}

static void check_visits(void) {
    static struct runs should, are;
    int visited = 0;
    offset_tracker_each_unfinished(&tracker, visit, &visited);
    CHECK(visited == count(UNFINISHED));
    should.length = are.length = 0;
    expect_runs(&should);
    offset_tracker_each_run(&tracker, add_run, &are);
    if (frontier(true) < INT64_MAX && tracker.merged) { /* a run may hold what is equal to a late one: it is left out */
        CHECK(are.length <= should.length);
        should.length = are.length > 0 ? are.length - 1 : 0;
    } else {
        CHECK(are.length == should.length);
    }
    CHECK(!memcmp(are.run, should.run, (size_t)should.length * sizeof *should.run));
}

static void check(void) {
    check_given_up();
    check_frontier();
    check_numbers();
    check_visits();
}

static void agrees_whatever_happens(uint64_t run) {
    random_seed(run);
    begin(run % 2);
    const uint32_t shares[] = {0, 20, 60, 95, 100};
    bool abandons = random_below(3) == 0, stuck = random_below(2);
    uint32_t busy = 1 + random_below(5), eager = random_below(3);
    for (int step = 0; step < 900; step++) {
        uint32_t action = random_below(10);
        if (action < 5) {
            receive_some(received || !stuck ? shares[(run / 2 + (uint64_t)step / 300) % 5] : 0);
        } else if (action < 5 + busy - eager / 2) {
            end_one(abandons, stuck);
        } else if (expected.underway) {
            settle();
        } else {
            claim();
        }
        if (random_below(60) == 0 && highest > tracker.mark) {
            tracker.mark = highest;
        }
        check();
    }
    while (count(UNFINISHED)) {
        end_one(abandons, false);
    }
    while (expected.underway || offset_tracker_claimable(&tracker)) {
        expected.underway ? settle() : claim();
        check();
    }
    CHECK(count(ABANDONED) || count(SETTLED) == received); /* I5 */
    offset_tracker_clear(&tracker);
    CHECK(tracker.given_up == OFFSET_NONE && offset_tracker_pending(&tracker) == 0);
}

int main(void) {
    for (uint64_t run = 1; run <= runs(150); run++) {
        agrees_whatever_happens(run);
    }
    return checked("offset_tracker_model");
}
