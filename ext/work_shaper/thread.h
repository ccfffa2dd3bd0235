/*
 * thread - the Ruby threads that a manager starts.
 */
#ifndef WORK_SHAPER_THREAD_H
#define WORK_SHAPER_THREAD_H

#include "manager.h"

/*
 * thread_start - Starts a Ruby thread with entry(self). Raises ThreadError, and then there is no thread.
 *
 * Look at the interrupts (rb_thread_check_ints) just before: at process exit every thread is told to die at one moment,
 * and one that was started by a thread that had been told would never be.
 */
VALUE thread_start(VALUE self, VALUE (*entry)(void *self));

/*
 * thread_run - What an entry does: body(self), free of the interrupt mask and priority of the thread that happened to
 * start it; then, however it ended and even if it never began, ended(self), which must not raise.
 */
VALUE thread_run(VALUE self, VALUE (*body)(VALUE self), VALUE (*ended)(VALUE self));

/*
 * thread_name - Names the current thread.
 */
void thread_name(VALUE name);

/*
 * thread_manager - The manager behind a Ruby object, in whatever process and state.
 */
struct manager *thread_manager(VALUE self);

#endif
