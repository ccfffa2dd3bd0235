/*
 * process - what becomes of the process and of the current thread: forked, or about to end.
 */
#ifndef WORK_SHAPER_RUBY_PROCESS_H
#define WORK_SHAPER_RUBY_PROCESS_H

#include <ruby/ruby.h>
#include <stdbool.h>
#ifndef HAVE_PTHREAD_ATFORK
#include <unistd.h>
#endif

/*
 * init_process - To be called once, before any other function here.
 */
void init_process(void);

/*
 * process_generation - A number that is different in every forked child.
 */
#ifdef HAVE_PTHREAD_ATFORK
extern unsigned long process_forks; /* between this process and the one that loaded the extension */

static inline unsigned long process_generation(void) {
    return process_forks;
}
#else
static inline unsigned long process_generation(void) {
    return (unsigned long)getpid();
}
#endif

/* Whether the at_exit blocks are running; and the rest of process_ends. */
extern bool process_exiting;
bool process_ends_now(void);

/*
 * process_ends - Whether Ruby has told all threads to end, and waits for them; the current one may still use us, in an
 * `ensure` or a trap handler. Ruby would wait for ever for a thread that is started now. Once the at_exit blocks run,
 * this call may let other threads run.
 *
 * It is not enough that the at_exit blocks run: minitest and Sinatra run everything inside one.
 */
static inline bool process_ends(void) {
    return process_exiting && process_ends_now();
}

/*
 * thread_dies - Whether the current thread was killed, and is on its way out.
 */
bool thread_dies(void);

/*
 * process_exit - Has the process exit as Ruby does when a thread dies of `exit`: raises the SystemExit on the main
 * thread, which hears of it before all that it is told from now on. Runs Ruby code.
 *
 * Returns whether it did. If so, the current thread must not die of it, too. Of another exception it does nothing.
 */
bool process_exit(VALUE error);

#endif
