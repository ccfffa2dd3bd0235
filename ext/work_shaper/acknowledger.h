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
 * acknowledger_overdue - Whether it has waited too long for the GVL, so that busy workers should give way to it.
 */
bool acknowledger_overdue(const struct manager *manager);

/*
 * acknowledger_pass - Acknowledges what can be acknowledged now, on the current thread. The baton must be free.
 *
 * own_thread: whether this is the acknowledger's thread. An exception that is no StandardError is then an end of the
 * manager; in a caller's flush it is the caller's (a Timeout, say), and what was cut off is acknowledged later. Returns
 * the number of offsets settled. Raises what is no StandardError.
 */
uint64_t acknowledger_pass(struct manager *manager, bool own_thread);

#endif
