/*
 * attempt - tells what each attempt took, when anyone listens.
 *
 * Whether anyone does is asked when a manager is made, and then once a tick, by the acknowledger or by who brings the
 * first message after a pause: asking may run Ruby code.
 */
#ifndef WORK_SHAPER_MANAGER_ATTEMPT_H
#define WORK_SHAPER_MANAGER_ATTEMPT_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct worker;

/* Whether anyone listens. */
struct listeners {
    bool wanted;
    uint32_t asked_at; /* milliseconds, modulo 2^32 */
};

/* The attempt that a worker is at. */
struct attempt {
    uint64_t began_at; /* in nanoseconds; 0: nobody listens */
    uint32_t queued;   /* milliseconds from enqueue till then */
};

/*
 * attempt_ask - Asks whether anyone listens. Runs Ruby code, of which nothing is let out.
 */
void attempt_ask(struct manager *manager);

/*
 * attempt_look - The same, unless a tick has not passed since the last time.
 */
void attempt_look(struct manager *manager);

/*
 * attempt_look_at_rest - The same, while nothing is in flight and so the acknowledger may sleep. For those who bring
 * something in.
 */
void attempt_look_at_rest(struct manager *manager);

/*
 * attempt_begin - The worker is about to work on its item.
 */
void attempt_begin(struct worker *worker);

/*
 * attempt_row - What there is to tell of the attempt that a worker is at, and ends now; nil when nobody listens.
 *
 * message: the item's, as it was when the attempt began.
 */
VALUE attempt_row(const struct worker *worker, VALUE message, bool done);

/*
 * attempt_tell - Tells of an attempt that is over. Runs Ruby code: what interrupts the thread goes through, errors do
 * not.
 */
void attempt_tell(const struct manager *manager, VALUE row);

#endif
