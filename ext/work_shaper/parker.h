/*
 * parker - how one Ruby thread sleeps without the GVL and is woken.
 *
 * It holds a token: unpark leaves it, park waits for it and takes it. The native mutex guards only the
 * sleep itself, never data, and nothing else is locked or called while it is held.
 */
#ifndef WORK_SHAPER_PARKER_H
#define WORK_SHAPER_PARKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct parker {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool token;        /* written with the GVL and the mutex */
    bool interrupted;  /* the sleep is to end so that Ruby can look at its interrupts */
    uint64_t deadline; /* of the sleep under way */
    struct turnstile *turnstile;
};

/*
 * turnstile - where a woken thread that should not starve tells busy threads how long it has waited for the GVL.
 *
 * For a busy thread to give way at once would be too dear: under CPU-bound work the GVL goes round all the others
 * first.
 */
struct turnstile {
    atomic_uint_least64_t impatient_at; /* in clock_nanoseconds; 0: nobody waits */
};

/*
 * turnstile_give_way - Lets a thread have the GVL that has waited for it too long. May run other threads' Ruby code,
 * and raise what the current thread's interrupts bring.
 */
void turnstile_give_way(const struct turnstile *turnstile);

/*
 * parker_init - Makes a parker without a token.
 *
 * turnstile: where its thread, once woken, waits for the GVL; NULL: nobody is to give way to it.
 */
void parker_init(struct parker *parker, struct turnstile *turnstile);

/*
 * parker_destroy - Frees it. Not to be called in a forked child: its state is unknown there.
 */
void parker_destroy(struct parker *parker);

/*
 * parker_park - Sleeps until there is a token, and takes it, or until the deadline.
 *
 * deadline: in clock_nanoseconds, or NEVER.
 * Returns true when it took a token, false when the deadline passed.
 * Raises whatever the thread's interrupts bring (Thread#kill, Thread#raise, Timeout, a signal handler's exception).
 */
bool parker_park(struct parker *parker, uint64_t deadline);

/*
 * parker_unpark - Leaves a token and wakes the sleeper, if there is one.
 */
void parker_unpark(struct parker *parker);

#endif
