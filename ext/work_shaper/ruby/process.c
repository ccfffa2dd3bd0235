#include "process.h"

#include "callback.h"

#include <string.h>
#ifdef HAVE_PTHREAD_ATFORK
#include <pthread.h>
#else
#include <unistd.h>
#endif

#ifdef HAVE_PTHREAD_ATFORK
/* How many forks lie between this process and the one that loaded the extension. */
static unsigned long generation;

static void count_fork(void) {
    generation++;
}

unsigned long process_generation(void) {
    return generation;
}
#else
unsigned long process_generation(void) {
    return (unsigned long)getpid();
}
#endif

/* Set when the at_exit blocks run: Ruby ends all threads after them. */
static bool exiting;

static void note_exit(VALUE unused) {
    (void)unused;
    exiting = true;
}

bool thread_dies(void) {
    VALUE status = rb_funcall(rb_thread_current(), rb_intern("status"), 0);
    return RB_TYPE_P(status, T_STRING) && strcmp(StringValueCStr(status), "aborting") == 0;
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
 * Ruby calls the main thread dead from the moment on at which it tells the others, but not inside a trap handler: there
 * it may still be in an at_exit block, but to start nobody and to wait for nobody is the safe side.
 */
bool process_ends(void) {
    if (!exiting) {
        return false;
    }
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
