#include "parker.h"

#include "clock.h"
#include "ruby_thread.h"

void parker_init(struct parker *parker) {
    *parker = (struct parker){.thread = Qnil};
}

/* Sleeps are cut into days, since one may be longer than the system's time type can hold. */
#define LONGEST_SLEEP (86400 * NANOSECONDS_PER_SECOND)

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
        rb_thread_wait_for(timeval_of(duration < LONGEST_SLEEP ? duration : LONGEST_SLEEP));
    }
    parker->parked = false;
}

bool parker_park(struct parker *parker, uint64_t deadline) {
    parker->thread = rb_thread_current();
    while (!parker->token) {
        uint64_t now = deadline == NEVER ? 0 : clock_nanoseconds();
        if (now >= deadline) {
            return false;
        }
        sleep_for(parker, deadline == NEVER ? NEVER : deadline - now);
    }
    parker->token = false;
    return true;
}

void parker_unpark(struct parker *parker) {
    parker->token = true;
    if (parker->parked) {
        thread_wake(parker->thread);
    }
}
