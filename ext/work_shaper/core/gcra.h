/*
 * gcra - how many may start, and when: the generic cell rate algorithm.
 *
 * One number says it all: the time from which nothing is owed any more. Whoever starts moves it on by an interval, and
 * it may lie ahead of the clock by `burst` - 1 intervals. So there is no ticker, nothing to fill up while nobody comes,
 * and no drift: intervals that are not whole nanoseconds keep 32 bits of fraction.
 *
 * Times are nanoseconds of the caller's clock, which never goes back. What lies beyond 2^64 of them never comes.
 */
#ifndef WORK_SHAPER_CORE_GCRA_H
#define WORK_SHAPER_CORE_GCRA_H

#include <stdbool.h>
#include <stdint.h>

/* What limits may be, per second. */
#define GCRA_SLOWEST 1e-6
#define GCRA_FASTEST 1e9

struct gcra_time {
    uint64_t nanoseconds;
    uint32_t fraction; /* of a nanosecond, in 2^-32 */
};

struct gcra {
    struct gcra_time free;     /* from when on nothing is owed: the theoretical arrival time */
    struct gcra_time interval; /* between two starts */
    uint32_t burst;            /* how many may start at once after a pause */
};

/*
 * gcra_init - Nothing has started yet.
 *
 * per_second: from GCRA_SLOWEST to GCRA_FASTEST.
 * burst: from 1.
 */
void gcra_init(struct gcra *gcra, double per_second, uint32_t burst);

/*
 * gcra_change - Another limit from now on: what is owed is as many starts as before. Arguments as for gcra_init.
 */
void gcra_change(struct gcra *gcra, uint64_t now, double per_second, uint32_t burst);

/*
 * gcra_at - When `count` may start at once, after `ahead` others; a time that is not after now means now.
 *
 * More than `burst` start when nothing is owed, and owe for all of them then. If there are others ahead, the first of
 * them must still have to wait.
 */
uint64_t gcra_at(const struct gcra *gcra, uint64_t ahead, uint32_t count);

/*
 * gcra_take - `count` start now, which must not be before gcra_at.
 *
 * waited: they were there before their time. Then the next ones need not make up for their delay, as long as it is less
 * than an interval: sleepers wake up late, and would always be too slow. Still no more than (seconds x limit) + burst
 * start within any whole number of intervals.
 */
void gcra_take(struct gcra *gcra, uint64_t now, uint32_t count, bool waited);

/*
 * gcra_give_back - `count` that were taken have not started.
 */
void gcra_give_back(struct gcra *gcra, uint32_t count);

#endif
