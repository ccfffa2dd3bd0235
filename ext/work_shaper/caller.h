/*
 * caller - a thread that waits inside one of our methods: for room, for the end of work, for its turn to acknowledge.
 */
#ifndef WORK_SHAPER_CALLER_H
#define WORK_SHAPER_CALLER_H

#include "manager.h"

enum wish {
    WISH_ROOM,    /* an enqueue that found it full, or a feeder in a hurry */
    WISH_FLIGHT,  /* a feeder: that less than max_in_flight are in flight, when a tick brings that */
    WISH_SETTLED, /* drain, shutdown: that nothing waits, runs or can be acknowledged */
    WISH_BATON    /* flush, revoke: that nobody else acknowledges */
};

/*
 * caller_wait - Parks the current thread until it is woken for its wish, or until the deadline. A wish may not have
 * come true then: look again and wait again.
 *
 * queue: with WISH_ROOM the sub key's queue (it is kept alive meanwhile), or NULL for room on any; else NULL.
 * deadline: in clock_nanoseconds, or NEVER.
 * Returns false when the deadline passed. Raises what the thread's interrupts bring.
 */
bool caller_wait(struct manager *manager, enum wish wish, struct sub_key_queue *queue, uint64_t deadline);

/*
 * callers_wake - Wakes all who wait with this wish.
 */
void callers_wake(struct manager *manager, enum wish wish);

/*
 * callers_wake_for_room - Wakes the one who has waited longest for room that is there now. Who was woken hands on: see
 * caller.c.
 */
void callers_wake_for_room(struct manager *manager);

/*
 * callers_waiting - Whether anyone waits with this wish.
 */
bool callers_waiting(const struct manager *manager, enum wish wish);

/*
 * callers_wait_for_flight - Whether an enqueue waits because max_in_flight is reached.
 */
bool callers_wait_for_flight(const struct manager *manager);

#endif
