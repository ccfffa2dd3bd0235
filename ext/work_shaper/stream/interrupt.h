/*
 * interrupt - ends work whose result nobody waits for any more.
 *
 * An exception is raised into its thread, inside the user's block and nowhere else. Thread#raise may let other threads
 * run before the exception is on its way, so the block may be over by then. That is why a worker that is being hit does
 * not leave its work before the exception has arrived.
 */
#ifndef WORK_SHAPER_STREAM_INTERRUPT_H
#define WORK_SHAPER_STREAM_INTERRUPT_H

#include "stream.h"

#include <stdbool.h>

/*
 * interrupt_unwanted - Raises an exception into all work of the stream that is not wanted, each once, but not into the
 * current thread's. Runs Ruby code.
 */
void interrupt_unwanted(struct stream *stream, VALUE error);

/*
 * interrupt_pending - Whether something was raised, or is being raised, into the work of the current thread.
 */
static inline bool interrupt_pending(const struct worker *worker) {
    return worker->hit != NOT_HIT;
}

/*
 * interrupt_settle - For a worker whose block is over: takes what was raised into it, if anything was: it is raised
 * here.
 */
void interrupt_settle(struct worker *worker);

#endif
