#include "check.h"
#include "core/gcra.h"

#include <stdbool.h>

#define SECOND 1000000000ull
#define YEAR (SECOND * 86400 * 365)
#define NEVER UINT64_MAX

static struct gcra gcra;

/* Takes one as soon as it may go. Returns when that was. */
static uint64_t next(uint64_t now) {
    uint64_t at = gcra_at(&gcra, 0, 1);
    at = at > now ? at : now;
    gcra_take(&gcra, at, 1, false);
    return at;
}

static bool goes(uint64_t now, uint32_t count) {
    bool may = gcra_at(&gcra, 0, count) <= now;
    if (may) {
        gcra_take(&gcra, now, count, false);
    }
    return may;
}

static void lets_one_go_in_each_interval(void) {
    gcra_init(&gcra, 100, 1);
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK(next(SECOND) == SECOND + i * SECOND / 100);
    }
    CHECK(!goes(11 * SECOND - 1, 1) && goes(11 * SECOND, 1));
    CHECK(goes(20 * SECOND + 5, 1)); /* nothing is saved up */
    CHECK(gcra_at(&gcra, 0, 1) == 20 * SECOND + 5 + SECOND / 100);
}

static void lets_a_burst_go_after_a_pause(void) {
    gcra_init(&gcra, 10, 3);
    for (int i = 0; i < 3; i++) {
        CHECK(goes(SECOND, 1));
    }
    CHECK(!goes(SECOND, 1));
    CHECK(gcra_at(&gcra, 0, 1) == SECOND + SECOND / 10);
    CHECK(gcra_at(&gcra, 0, 2) == SECOND + 2 * SECOND / 10);
    CHECK(gcra_at(&gcra, 0, 3) == SECOND + 3 * SECOND / 10);
    CHECK(gcra_at(&gcra, 3, 1) == SECOND + 4 * SECOND / 10);
    CHECK(goes(SECOND + 2 * SECOND / 10, 2) && !goes(SECOND + 2 * SECOND / 10, 1));
}

/* More than a burst, too, however many that is. */
static void lets_many_go_when_nothing_is_owed(void) {
    gcra_init(&gcra, 10, 3);
    CHECK(goes(SECOND, 50));
    CHECK(gcra_at(&gcra, 0, 1) == SECOND + 48 * SECOND / 10);
    CHECK(gcra_at(&gcra, 0, 50) == SECOND + 50 * SECOND / 10);
    CHECK(!goes(6 * SECOND - 1, 50) && goes(6 * SECOND, 50));
}

/* The last of 10^9 comes when arithmetic with whole numbers says, to a microsecond in 10 years. */
static void does_not_drift(uint32_t per_second, uint32_t at_once) {
    gcra_init(&gcra, per_second, 1);
    uint64_t steps = 1000000000ull / at_once;
    for (uint64_t i = 0; i < steps; i++) {
        gcra_take(&gcra, 0, at_once, false);
    }
    uint64_t cells = steps * at_once, at = gcra_at(&gcra, 0, 1);
    uint64_t exact = cells / per_second * SECOND + cells % per_second * SECOND / per_second;
    uint64_t apart = at > exact ? at - exact : exact - at;
    CHECK(apart <= 1000);
}

static void holds_at_the_extremes(void) {
    gcra_init(&gcra, GCRA_FASTEST, 1);
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK(next(0) == i);
    }
    gcra_init(&gcra, GCRA_SLOWEST, 1);
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK(next(0) == i * 1000000 * SECOND);
    }
    gcra_take(&gcra, 0, UINT32_MAX, false);
    CHECK(gcra_at(&gcra, 0, 1) == NEVER && gcra_at(&gcra, UINT64_MAX, UINT32_MAX) == NEVER);
    CHECK(!goes(NEVER - 1, 1));
    gcra_take(&gcra, YEAR, 1, true);
    gcra_change(&gcra, YEAR, GCRA_FASTEST, UINT32_MAX);
    gcra_change(&gcra, YEAR, GCRA_SLOWEST, 1);
    CHECK(gcra_at(&gcra, 0, 1) > 500 * YEAR);
    gcra_init(&gcra, GCRA_FASTEST, UINT32_MAX);
    CHECK(goes(0, UINT32_MAX) && !goes(0, 1) && goes(1, 1));
}

/* Who was there before its time may be late: by less than an interval that is not lost. */
static void makes_up_for_late_sleepers(void) {
    gcra_init(&gcra, 100, 1);
    uint64_t interval = SECOND / 100;
    CHECK(goes(SECOND, 1));
    for (uint64_t i = 1; i < 1000; i++) {
        uint64_t at = gcra_at(&gcra, 0, 1);
        CHECK(at == SECOND + i * interval);
        gcra_take(&gcra, at + i % 10 * interval / 10, 1, true);
    }
    uint64_t at = gcra_at(&gcra, 0, 1);
    gcra_take(&gcra, at + interval, 1, true); /* too late */
    CHECK(gcra_at(&gcra, 0, 1) == at + 2 * interval);
}

static void keeps_what_is_owed_when_the_limit_changes(void) {
    gcra_init(&gcra, 10, 1);
    CHECK(goes(SECOND, 5));
    gcra_change(&gcra, SECOND + SECOND / 10, 1000, 1); /* four are owed */
    CHECK(gcra_at(&gcra, 0, 1) == SECOND + SECOND / 10 + 4 * SECOND / 1000);
    gcra_change(&gcra, SECOND + SECOND / 10, 1, 3); /* and three may be */
    CHECK(gcra_at(&gcra, 0, 1) == SECOND + SECOND / 10 + 2 * SECOND);
    gcra_change(&gcra, 100 * SECOND, 1, 1);
    CHECK(goes(100 * SECOND, 1) && !goes(100 * SECOND, 1));
}

static void takes_back_what_did_not_start(void) {
    gcra_init(&gcra, 3, 1);
    CHECK(goes(SECOND, 1));
    uint64_t at = gcra_at(&gcra, 0, 1);
    gcra_take(&gcra, at, 7, true);
    gcra_give_back(&gcra, 7);
    CHECK(gcra_at(&gcra, 0, 1) == at);
    gcra_give_back(&gcra, UINT32_MAX);
    CHECK(gcra_at(&gcra, 0, 1) == 0);
}

/* Whoever comes, however late: never more than a burst and one in each interval. */
static void never_lets_more_go(uint64_t run) {
    enum { STARTS = 2000 };
    static uint64_t starts[STARTS];
    random_seed(run);
    uint32_t per_second = 1 + random_below(1000), burst = 1 + random_below(20);
    uint64_t interval = SECOND / per_second, now = SECOND;
    bool waits = false;
    gcra_init(&gcra, per_second, burst);
    for (int i = 0; i < STARTS;) {
        uint64_t at = gcra_at(&gcra, 0, 1);
        if (at <= now) {
            gcra_take(&gcra, now, 1, waits);
            starts[i++] = now;
            waits = false;
        } else {
            waits = true;
            now = random_below(3) ? at : now;
        }
        now += random_below(4) ? 0 : random_below((uint32_t)(random_below(9) ? interval : 9 * interval) + 1);
        waits = waits && random_below(20);
    }
    for (int first = 0; first < STARTS; first++) {
        for (int last = first; last < STARTS && last < first + 100; last++) {
            uint64_t intervals = (starts[last] - starts[first]) / interval + 1; /* that hold both */
            CHECK((uint64_t)(last - first) + 1 <= intervals + burst);
        }
    }
}

int main(void) {
    lets_one_go_in_each_interval();
    lets_a_burst_go_after_a_pause();
    lets_many_go_when_nothing_is_owed();
    does_not_drift(3, 1000);
    does_not_drift(7, 100);
    does_not_drift(999999937, 100);
    holds_at_the_extremes();
    makes_up_for_late_sleepers();
    keeps_what_is_owed_when_the_limit_changes();
    takes_back_what_did_not_start();
    for (uint64_t run = 1; run <= runs(200); run++) {
        never_lets_more_go(run);
    }
    return checked("gcra");
}
