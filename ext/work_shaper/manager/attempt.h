/*
 * attempt - one try of the work of a message: counts what it took, and tells of it when anyone listens.
 */
#ifndef WORK_SHAPER_MANAGER_ATTEMPT_H
#define WORK_SHAPER_MANAGER_ATTEMPT_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct worker;

/*
 * The attempt that a worker is at, and what is known of those before.
 *
 * Looking at the clock twice takes a fifth of all that is done for a message whose work is nothing. So when that took
 * less than 10 us, the next ones, 7 or 8 in the mean and a random number, are only counted; the one that is measured
 * then stands for them, too. Only what the watchdog has seen running stands for itself alone, measured or not: it is
 * too long to be missed, and to count for others.
 */
struct attempt {
    uint64_t began_at;           /* in nanoseconds; 0: it is not measured */
    uint64_t took;               /* the last that was measured, in nanoseconds */
    uint32_t queued;             /* milliseconds from enqueue until that began */
    struct durations *durations; /* where it is counted; NULL: nowhere */
    uint8_t skip;                /* how many more are not measured */
    uint8_t skipped;             /* how many were not, since the last that was */
    bool skips;                  /* this one is not measured, but to be counted */
    bool told;                   /* somebody listens */
};

/*
 * attempts_ask - Asks whether anyone listens. To be called when a manager is made, and once a tick. Runs Ruby code.
 * Raises only what the thread's interrupts bring.
 */
void attempts_ask(struct manager *manager);

/*
 * attempt_begin - The worker is about to work on its item.
 */
void attempt_begin(struct worker *worker);

/*
 * attempt_end - The attempt that a worker is at, if it is at one, is over. Returns what there is to tell of it; nil:
 * nobody listens.
 *
 * message: the item's, as it was when the attempt began.
 */
VALUE attempt_end(struct worker *worker, VALUE message, bool done);

/*
 * attempts_settle - Counts those that were not measured since the worker's last one as that one. To be called before
 * somebody reads what is counted, and when the worker rests or ends.
 */
void attempts_settle(struct worker *worker);

/*
 * attempt_tell - Tells of one that is over. Runs Ruby code: what interrupts the thread goes through, errors do not.
 */
void attempt_tell(const struct manager *manager, VALUE row);

#endif
