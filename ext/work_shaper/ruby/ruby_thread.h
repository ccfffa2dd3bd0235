/*
 * ruby_thread - the Ruby threads that we start.
 *
 * They inherit nothing from the thread that happened to start them: no interrupt mask, priority, thread group or Fiber
 * storage.
 *
 * A function that asks Ruby about a thread (its group, whether it is asleep) may let other threads run meanwhile.
 */
#ifndef WORK_SHAPER_RUBY_RUBY_THREAD_H
#define WORK_SHAPER_RUBY_RUBY_THREAD_H

#include <ruby/ruby.h>
#include <stdbool.h>

/*
 * init_thread - To be called once, before any other function here.
 */
void init_thread(void);

/*
 * thread_is_ours - Whether the current thread was started by thread_start, of whatever manager.
 */
bool thread_is_ours(void);

/*
 * thread_start - Starts a Ruby thread with entry(self), which calls thread_run. Not to be called when process_ends.
 * Other threads do not run meanwhile. Raises ThreadError, and then there is no thread.
 */
VALUE thread_start(VALUE self, VALUE (*entry)(void *self));

/*
 * thread_run - What an entry does: body(self), then, however that ended, ended(self), which no interrupt can disturb
 * and which must not raise.
 *
 * A thread that is killed before its entry (by a TracePoint's block, say) does neither: see thread_wake.
 */
VALUE thread_run(VALUE self, VALUE (*body)(VALUE self), VALUE (*ended)(VALUE self));

/*
 * thread_try - For `ended`: calls function(argument), which may be interrupted, and drops what it raises.
 */
void thread_try(VALUE (*function)(VALUE argument), VALUE argument);

/*
 * thread_wake - Wakes a thread from any sleep. Runs no Ruby code. Returns false when it is dead.
 */
bool thread_wake(VALUE thread);

/*
 * thread_asleep - Whether a thread sleeps, or is dead.
 */
bool thread_asleep(VALUE thread);

/*
 * thread_group_closed - Whether a thread's group lets no thread in (frozen) or out (enclosed).
 */
bool thread_group_closed(VALUE thread);

/*
 * thread_name - Names the current thread.
 */
void thread_name(VALUE name);

/*
 * thread_belongs_to - Sets a variable of the current thread, by which others find what it belongs to.
 */
void thread_belongs_to(const char *variable, VALUE object);

#endif
