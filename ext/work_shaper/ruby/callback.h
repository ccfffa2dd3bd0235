/*
 * callback - the user's lambdas, and what may come out of them.
 *
 * callback_call lets everything through: call it only under rb_protect, with no C state on the frames between.
 */
#ifndef WORK_SHAPER_RUBY_CALLBACK_H
#define WORK_SHAPER_RUBY_CALLBACK_H

#include <ruby/ruby.h>
#include <stdbool.h>

struct callback {
    VALUE receiver; /* answers call; nil: left out */
    bool is_proc;   /* can be called the fast way */
};

/* How a protected call ended, other than well. */
enum outcome {
    RAISED,       /* an exception: the user's business */
    RAISED_FATAL, /* one that exception_fatal says is not: the process ends with it, or the thread */
    CUT_OFF       /* Thread#kill, whatever an `ensure` made of it, or throw: not the callback's doing */
};

/*
 * callback_set - Takes what answers call, or nil. The caller marks the receiver.
 */
void callback_set(struct callback *callback, VALUE receiver);

/*
 * callback_given - Whether there is one.
 */
bool callback_given(const struct callback *callback);

/*
 * callback_call - Calls it and returns what it returned. Raises what it raised.
 */
VALUE callback_call(const struct callback *callback, int count, const VALUE *arguments);

/*
 * is_exception - Whether what rb_errinfo returned is one. A kill leaves an Integer there and a throw something
 * internal: neither may be asked for its class.
 */
bool is_exception(VALUE caught);

/*
 * exception_fatal - Whether an exception is meant for the process, whoever raised it: SystemExit, SignalException
 * (Interrupt), NoMemoryError. Others are failures of whoever raised them, StandardErrors or not.
 */
bool exception_fatal(VALUE error);

/*
 * callback_outcome - Says what rb_protect caught, without clearing it. Runs Ruby code.
 *
 * state: that of rb_protect; what comes to the thread meanwhile (a kill, a Timeout) takes the place of what was caught,
 * and changes it.
 * error: gets the exception, or nil when it was CUT_OFF.
 */
enum outcome callback_outcome(int *state, VALUE *error);

/*
 * try_call - Calls function(argument), and drops what it raises, whatever that is.
 *
 * Returns Qundef when it raised.
 */
VALUE try_call(VALUE (*function)(VALUE argument), VALUE argument);

/*
 * quietly - Calls a method of ours that logs: a StandardError out of it is dropped, everything else goes through.
 */
void quietly(VALUE receiver, const char *method, int count, const VALUE *arguments);

#endif
