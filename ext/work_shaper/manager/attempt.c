#include "attempt.h"

#include "../ruby/callback.h"
#include "../ruby/clock.h"
#include "manager.h"

void attempts_ask(struct manager *manager) {
    manager->tells_attempts = RTEST(rb_funcall(manager->self, rb_intern("attempts_wanted?"), 0));
}

/* Whether it is a message's first. */
static bool first(const struct worker *worker) {
    return NIL_P(sub_key_of(worker->item->queue)->failure);
}

void attempt_begin(struct worker *worker) {
    struct manager *manager = worker->manager;
    struct attempt *attempt = &worker->attempt;
    struct durations *durations = durations_of(manager, partition_of(worker->item->tracker));
    attempt->began_at = 0;
    attempt->skips = false;
    attempt->told = manager->tells_attempts;
    if (durations != attempt->durations || !first(worker)) {
        attempts_settle(worker);
        attempt->durations = durations;
        attempt->skip = 0;
    }
    if (attempt->skip && !attempt->told) {
        attempt->skip--;
        attempt->skips = true;
        return;
    }
    if (durations || attempt->told) {
        attempt->began_at = clock_nanoseconds();
        attempt->queued = clock_milliseconds() - worker->item->received_at;
    }
}

/* Without memory they are not counted. */
static void count(const struct attempt *attempt, uint32_t first_ones, uint32_t all) {
    if (!attempt->durations) {
        return;
    }
    histogram_record(&attempt->durations->work, attempt->took, all);
    if (first_ones) {
        histogram_record(&attempt->durations->queue, attempt->queued * NANOSECONDS_PER_MILLISECOND, first_ones);
    }
}

void attempts_settle(struct worker *worker) {
    struct attempt *attempt = &worker->attempt;
    if (attempt->skipped) {
        count(attempt, attempt->skipped, attempt->skipped);
        attempt->skipped = 0;
    }
}

#define QUICK (10 * NANOSECONDS_PER_MICROSECOND)
#define MOST_SKIPPED 16

/* Whether the watchdog has seen it running. */
static bool seen(const struct worker *worker) {
    return worker->sighting.turn == worker->turn;
}

/* The time is random enough for the number that is skipped. */
static void measured(struct worker *worker, uint64_t began_at, uint64_t now) {
    struct attempt *attempt = &worker->attempt;
    if (seen(worker)) {
        attempts_settle(worker);
    }
    attempt->took = now - began_at;
    count(attempt, attempt->skipped + first(worker), attempt->skipped + 1u);
    attempt->skipped = 0;
    attempt->skip = attempt->took < QUICK ? (uint8_t)(now * 0x9E3779B97F4A7C15u >> 60u) % MOST_SKIPPED : 0;
}

/* One that was not to be measured is over. */
static void skipped(struct worker *worker) {
    worker->attempt.skips = false;
    if (seen(worker)) {
        measured(worker, worker->sighting.since, clock_nanoseconds());
    } else {
        worker->attempt.skipped++;
    }
}

VALUE attempt_end(struct worker *worker, VALUE message, bool done) {
    struct attempt *attempt = &worker->attempt;
    if (attempt->skips) {
        skipped(worker);
    }
    if (!attempt->began_at) {
        return Qnil;
    }
    const struct item *item = worker->item;
    measured(worker, attempt->began_at, clock_nanoseconds());
    attempt->began_at = 0;
    if (!attempt->told) {
        return Qnil;
    }
    return rb_ary_new_from_args(7, message, partition_of(item->tracker)->keyed.key, LL2NUM(item->offset),
                                sub_key_of(item->queue)->failure, done ? Qtrue : Qfalse,
                                DBL2NUM((double)attempt->took / (double)NANOSECONDS_PER_SECOND),
                                DBL2NUM(attempt->queued / 1000.0));
}

void attempt_tell(const struct manager *manager, VALUE row) {
    if (!NIL_P(row)) {
        quietly(manager->self, "tell_attempt", 1, &row);
    }
}
