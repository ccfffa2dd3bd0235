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
    bool token;          /* written with the GVL and the mutex */
    bool interrupted;    /* the sleep is to end so that Ruby can look at its interrupts */
    uint64_t deadline;   /* of the sleep under way */
    atomic_int *passing; /* raised while the thread asks for the GVL back, or NULL */
};

/*
 * parker_init - Makes a parker without a token.
 *
 * passing: a counter that is one higher while the woken thread waits for the GVL, so that a busy thread can see
 * it and let it pass; NULL: none.
 */
void parker_init(struct parker *parker, atomic_int *passing);

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
