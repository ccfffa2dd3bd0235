#include "thread.h"

struct shielded {
    VALUE self;
    VALUE (*body)(VALUE self);
};

static VALUE run_body(RB_BLOCK_CALL_FUNC_ARGLIST(yielded, argument)) {
    (void)yielded;
    (void)argc;
    (void)argv;
    (void)blockarg;
    const struct shielded *shielded = (const struct shielded *)argument;
    return shielded->body(shielded->self);
}

/* A new thread inherits the mask of Thread.handle_interrupt under which it was started: it would be deaf to kill. */
static VALUE run_shielded(VALUE argument) {
    VALUE mask = rb_hash_new();
    rb_hash_aset(mask, rb_cObject, ID2SYM(rb_intern("immediate")));
    rb_funcall(rb_thread_current(), rb_intern("priority="), 1, INT2FIX(0));
    return rb_block_call(rb_cThread, rb_intern("handle_interrupt"), 1, &mask, run_body, argument);
}

VALUE thread_run(VALUE self, VALUE (*body)(VALUE self), VALUE (*ended)(VALUE self)) {
    struct shielded shielded = {.self = self, .body = body};
    VALUE result = rb_ensure(run_shielded, (VALUE)&shielded, ended, self);
    RB_GC_GUARD(self);
    return result;
}

/* Makes a place for one more thread, in that of a dead one if there is one. */
static long make_place(VALUE threads) {
    for (long i = 0; i < RARRAY_LEN(threads); i++) {
        VALUE thread = rb_ary_entry(threads, i);
        if (NIL_P(thread) || !RTEST(rb_funcall(thread, rb_intern("alive?"), 0))) {
            return i;
        }
    }
    rb_ary_push(threads, Qnil);
    return RARRAY_LEN(threads) - 1;
}

VALUE thread_start(VALUE self, VALUE (*entry)(void *self)) {
    VALUE threads = thread_manager(self)->threads;
    long place = make_place(threads);
    VALUE thread = rb_thread_create(entry, (void *)self);
    rb_ary_store(threads, place, thread); /* raises nothing: now the thread is there, whatever happens */
    return thread;
}

void thread_name(VALUE name) {
    rb_funcall(rb_thread_current(), rb_intern("name="), 1, name);
}
