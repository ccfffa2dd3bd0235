#include "parker.h"

#include "clock.h"

void parker_init(struct parker *parker) {
    *parker = (struct parker){.thread = Qnil};
}

/*
 * While the main thread runs a signal handler inside its sleep, Ruby forgets that somebody woke it, the handler itself
 * (request_shutdown, say) included. So the main thread looks again now and then.
 */
#define MAIN_THREAD_NAP (100 * NANOSECONDS_PER_MILLISECOND)

static struct timeval timeval_of(uint64_t nanoseconds) {
    uint64_t microseconds = (nanoseconds + 999) / 1000;
    return (struct timeval){.tv_sec = (time_t)(microseconds / 1000000),
                            .tv_usec = (suseconds_t)(microseconds % 1000000)};
}

/* Sleeps until woken by parker_unpark, for another reason, or for `duration` nanoseconds. */
static void sleep_for(struct parker *parker, uint64_t duration) {
    /* Set before Ruby looks at the thread's interrupts: other threads may run then, and what they leave must end the
     * sleep. */
    parker->parked = true;
    if (duration == NEVER) {
        rb_thread_sleep_forever();
    } else {
        rb_thread_wait_for(timeval_of(duration));
    }
    parker->parked = false;
}

static uint64_t shorter(uint64_t left, uint64_t right) {
    return left < right ? left : right;
}

bool parker_park(struct parker *parker, uint64_t deadline) {
    parker->thread = rb_thread_current();
    uint64_t nap = parker->thread == rb_thread_main() ? MAIN_THREAD_NAP : NEVER;
    while (!parker->token) {
        uint64_t now = deadline == NEVER ? 0 : clock_nanoseconds();
        if (now >= deadline) {
            return false;
        }
        sleep_for(parker, shorter(nap, deadline == NEVER ? NEVER : deadline - now));
    }
    parker->token = false;
    return true;
}

void parker_unpark(struct parker *parker) {
    parker->token = true;
    if (parker->parked) {
        rb_thread_wakeup_alive(parker->thread);
    }
}
