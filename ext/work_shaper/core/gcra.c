#include "gcra.h"

#define NANOSECONDS 1e9
#define FRACTIONS 4294967296.0 /* 2^32 */

/* Later than all. */
static const struct gcra_time never = {.nanoseconds = UINT64_MAX};

static struct gcra_time time_of(double nanoseconds) {
    if (nanoseconds >= (double)UINT64_MAX) {
        return never;
    }
    uint64_t whole = (uint64_t)nanoseconds;
    return (struct gcra_time){whole, (uint32_t)((nanoseconds - (double)whole) * FRACTIONS)};
}

static double double_of(struct gcra_time time) {
    return (double)time.nanoseconds + time.fraction / FRACTIONS;
}

static struct gcra_time plus(struct gcra_time time, struct gcra_time more) {
    uint64_t fraction = (uint64_t)time.fraction + more.fraction, carry = fraction >> 32;
    if (more.nanoseconds >= UINT64_MAX - carry - time.nanoseconds) {
        return never;
    }
    return (struct gcra_time){time.nanoseconds + more.nanoseconds + carry, (uint32_t)fraction};
}

/* Nothing is before 0. */
static struct gcra_time minus(struct gcra_time time, struct gcra_time less) {
    uint64_t borrow = time.fraction < less.fraction;
    if (less.nanoseconds >= time.nanoseconds) {
        bool above = less.nanoseconds == time.nanoseconds && !borrow;
        return (struct gcra_time){0, above ? time.fraction - less.fraction : 0};
    }
    return (struct gcra_time){time.nanoseconds - less.nanoseconds - borrow, time.fraction - less.fraction};
}

static struct gcra_time times(struct gcra_time time, uint64_t count) {
    if (count > UINT64_MAX / (time.nanoseconds + 1)) {
        return never;
    }
    uint64_t low = (count & UINT32_MAX) * time.fraction, high = (count >> 32) * time.fraction;
    struct gcra_time whole = {.nanoseconds = time.nanoseconds * count};
    return plus(whole, (struct gcra_time){high + (low >> 32), (uint32_t)low});
}

void gcra_init(struct gcra *gcra, double per_second, uint32_t burst) {
    *gcra = (struct gcra){.interval = time_of(NANOSECONDS / per_second), .burst = burst};
}

void gcra_change(struct gcra *gcra, uint64_t now, double per_second, uint32_t burst) {
    double interval = NANOSECONDS / per_second, before = double_of(gcra->interval);
    struct gcra_time since = {.nanoseconds = now};
    if (gcra->free.nanoseconds >= now) {
        double owed = double_of(minus(gcra->free, since));
        gcra->free = plus(since, time_of(owed / before * interval));
    }
    gcra->interval = time_of(interval);
    gcra->burst = burst;
}

uint64_t gcra_at(const struct gcra *gcra, uint64_t ahead, uint32_t count) {
    uint32_t before = count < gcra->burst ? gcra->burst - count : 0; /* how many intervals before nothing is owed */
    struct gcra_time at = ahead > before ? plus(gcra->free, times(gcra->interval, ahead - before))
                                         : minus(gcra->free, times(gcra->interval, before - ahead));
    return at.nanoseconds + (at.fraction > 0); /* the first whole one */
}

void gcra_take(struct gcra *gcra, uint64_t now, uint32_t count, bool waited) {
    struct gcra_time from = waited ? plus(gcra->free, gcra->interval) : gcra->free;
    if (from.nanoseconds <= now) {
        gcra->free = (struct gcra_time){.nanoseconds = now};
    }
    gcra->free = plus(gcra->free, times(gcra->interval, count));
}

void gcra_give_back(struct gcra *gcra, uint32_t count) {
    gcra->free = minus(gcra->free, times(gcra->interval, count));
}
