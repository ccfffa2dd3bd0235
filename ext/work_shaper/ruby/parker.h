/*
 * parker - how a Ruby thread of ours sleeps and is woken.
 *
 * It holds a token: unpark leaves it, park waits for it and takes it. The sleep itself is Ruby's own, so signals, kills
 * and timeouts reach the sleeper on every version and platform.
 *
 * A wake-up can be lost: Ruby forgets it when, inside the sleep, a signal handler or a finalizer runs that waits for
 * something itself. The token stays, so a thread that parks with a deadline finds it then, and unpark may be called
 * again.
 */
#ifndef WORK_SHAPER_RUBY_PARKER_H
#define WORK_SHAPER_RUBY_PARKER_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct parker {
    VALUE thread; /* whose sleep it is, while it is parked: alive, hence marked by Ruby */
    bool parked;
    bool token;
};

/*
 * parker_init - Makes a parker without a token. There is nothing to destroy.
 */
void parker_init(struct parker *parker);

/*
 * parker_park - Sleeps until there is a token, and takes it, or until the deadline.
 *
 * deadline: in clock_nanoseconds, or NEVER.
 * Returns true when it took a token, false when the deadline passed.
 * Raises whatever the thread's interrupts bring (Thread#kill, Thread#raise, Timeout, a signal handler's exception).
 */
bool parker_park(struct parker *parker, uint64_t deadline);

/*
 * parker_unpark - Leaves a token and wakes the sleeper, if there is one. Can be called again. Runs no Ruby code.
 */
void parker_unpark(struct parker *parker);

#endif
