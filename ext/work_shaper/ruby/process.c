#include "process.h"

#include "callback.h"

#include <string.h>
#ifdef HAVE_PTHREAD_ATFORK
#include <pthread.h>
#endif

#ifdef HAVE_PTHREAD_ATFORK
unsigned long process_forks;

static void count_fork(void) {
    process_forks++;
}
#endif

/* Set when the at_exit blocks run: Ruby ends all threads after them. */
bool process_exiting;

static void note_exit(VALUE unused) {
    (void)unused;
    process_exiting = true;
}

bool thread_dies(void) {
    VALUE status = rb_funcall(rb_thread_current(), rb_intern("status"), 0);
    return RB_TYPE_P(status, T_STRING) && strcmp(StringValueCStr(status), "aborting") == 0;
}

static VALUE raise_on_main_thread(VALUE error) {
    return rb_funcall(rb_thread_main(), rb_intern("raise"), 1, error);
}

bool process_exit(VALUE error) {
    return RTEST(rb_obj_is_kind_of(error, rb_eSystemExit)) && try_call(raise_on_main_thread, error) != Qundef;
}

static VALUE lock_a_mutex(VALUE unused) {
    (void)unused;
    return rb_mutex_lock(rb_mutex_new());
}

/* Ruby refuses to lock a Mutex there. */
static bool in_trap_handler(void) {
    return try_call(lock_a_mutex, Qnil) == Qundef;
}

/*
 * Ruby calls the main thread dead from the moment at which it tells the others to end, but not inside a trap handler.
 * There it may still be in an at_exit block, but starting no thread and waiting for none is on the safe side.
 */
bool process_ends_now(void) {
    VALUE main_thread = rb_thread_main();
    return rb_thread_current() == main_thread ? in_trap_handler()
                                              : !RTEST(rb_funcall(main_thread, rb_intern("alive?"), 0));
}

void init_process(void) {
#ifdef HAVE_PTHREAD_ATFORK
    pthread_atfork(NULL, NULL, count_fork);
#endif
    rb_set_end_proc(note_exit, Qnil);
}
