#include "thread_probe.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

/* The most that one call can ask for. */
#define MOST 1000

static void *pass_gate(void *argument) {
    pthread_mutex_t *gate = argument;
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Has so many threads at a time, which end at once. Returns 0, or why one of them could not be started. */
static int start_and_end(size_t count) {
    pthread_t threads[MOST];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    size_t started = 0;
    int error = 0;
    pthread_mutex_lock(&gate);
    while (started < count && !error) {
        error = pthread_create(&threads[started], NULL, pass_gate, &gate);
        started += !error;
    }
    pthread_mutex_unlock(&gate);
    while (started) {
        pthread_join(threads[--started], NULL);
    }
    pthread_mutex_destroy(&gate);
    return error;
}

/*
 * call-seq: probe_threads(count)
 *
 * Starts and ends so many native threads, 1,000 at most; the machine may refuse the next ones all the same. Not Ruby's
 * threads: those stay for some seconds after their end, and count. Keeps the GVL, for some ten microseconds per thread.
 *
 * Raises ThreadError when that many cannot be started.
 */
static VALUE probe_threads(VALUE class, VALUE count) {
    (void)class;
    size_t wanted = NUM2SIZET(count);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for Ruby's threads */
    int error = start_and_end(wanted < MOST ? wanted : MOST);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        rb_raise(rb_eThreadError, "%" PRIsVALUE " more threads are needed: %s", count, strerror(error));
    }
    return Qnil;
}

void init_thread_probe(VALUE class) {
    rb_define_singleton_method(class, "probe_threads", probe_threads, 1);
}
