/*
 * thread_slot - the place of a thread of which a manager has one at most: its acknowledger, its timekeeper. Such a
 * thread is started when the rule asks for it, and another one when it has died.
 *
 * What the thread does at the moment is in the roster.
 */
#ifndef WORK_SHAPER_MANAGER_THREAD_SLOT_H
#define WORK_SHAPER_MANAGER_THREAD_SLOT_H

#include "../core/roster.h"
#include "../ruby/parker.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct thread_slot {
    VALUE thread; /* nil: none. The caller marks it. */
    struct parker parker;
    enum thread_state *state; /* in the roster */
    bool overdue;             /* was coming already at the watchdog's last look */
};

/*
 * thread_slot_init - There is no thread yet.
 */
void thread_slot_init(struct thread_slot *slot, enum thread_state *state);

/*
 * thread_slot_set_state - The thread notes what it does.
 */
void thread_slot_set_state(struct thread_slot *slot, enum thread_state state);

/*
 * thread_slot_start - Starts a thread for `owner`, if there is none; it is coming then. Raises ThreadError.
 *
 * entry: called with the owner in the new thread.
 */
void thread_slot_start(struct thread_slot *slot, VALUE owner, VALUE (*entry)(void *owner));

/*
 * thread_slot_wake - Wakes the thread if it is parked. Returns whether it was. Runs no Ruby code.
 */
bool thread_slot_wake(struct thread_slot *slot);

/*
 * thread_slot_wake_again - If it was called and has not come: wakes it again. Returns false when it died before it
 * began; it is gone then.
 */
bool thread_slot_wake_again(struct thread_slot *slot);

/*
 * thread_slot_look - The same, for the watchdog: at the second look at which it has not come.
 */
bool thread_slot_look(struct thread_slot *slot);

/*
 * thread_slot_park - Parks the current thread, whose slot it is, until it is woken or until the deadline (in
 * clock_nanoseconds, or NEVER). Raises what the thread's interrupts bring.
 */
void thread_slot_park(struct thread_slot *slot, uint64_t deadline);

/*
 * thread_slot_leave - The thread ends, or is dead.
 */
void thread_slot_leave(struct thread_slot *slot);

#endif
