/*
 * process - what becomes of the process and of the current thread: forked, or about to end.
 */
#ifndef WORK_SHAPER_RUBY_PROCESS_H
#define WORK_SHAPER_RUBY_PROCESS_H

#include <ruby/ruby.h>
#include <stdbool.h>

/*
 * init_process - To be called once, before any other function here.
 */
void init_process(void);

/*
 * process_generation - A number that another one takes the place of in every forked child.
 */
unsigned long process_generation(void);

/*
 * process_ends - Whether Ruby has told all threads to end, and waits for them; the current one may still use us, in an
 * `ensure` or a trap handler. Ruby would wait for ever for a thread that is started now. Once the at_exit blocks run it
 * may let other threads run.
 *
 * That the at_exit blocks run is not enough: minitest and Sinatra run all there is inside of one.
 */
bool process_ends(void);

/*
 * thread_dies - Whether the current thread was killed, and is on its way out.
 */
bool thread_dies(void);

#endif
