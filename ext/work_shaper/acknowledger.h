/*
 * acknowledger - calls `ack` for what the trackers release: the thread with its tick, and the pass that flush makes
 * too.
 */
#ifndef WORK_SHAPER_ACKNOWLEDGER_H
#define WORK_SHAPER_ACKNOWLEDGER_H

#include "manager.h"

/*
 * acknowledger_start - Starts the thread if it is gone and there is still use for it. Raises ThreadError.
 */
void acknowledger_start(struct manager *manager);

/*
 * acknowledger_call - There may be something to acknowledge: wakes the thread if it is idle, and before its tick when
 * others wait for that. Runs no Ruby code.
 */
void acknowledger_call(struct manager *manager);

/*
 * acknowledger_wake - Wakes the thread, whatever it waits for.
 */
void acknowledger_wake(struct manager *manager);

/*
 * acknowledger_give_way - Lets the thread have the GVL if it has waited for it too long. For a worker between two
 * messages; may run other threads, and raise what the current thread's interrupts bring.
 */
void acknowledger_give_way(const struct manager *manager);

/*
 * acknowledger_pass - Acknowledges what can be acknowledged now, on the current thread. The baton must be free.
 *
 * own_thread: whether this is the acknowledger's thread. An exception that is no StandardError is then an end of the
 * manager; in a caller's flush it is the caller's (a Timeout, say), and what was cut off is acknowledged later. Returns
 * the number of offsets settled. Raises what is no StandardError.
 */
uint64_t acknowledger_pass(struct manager *manager, bool own_thread);

#endif
