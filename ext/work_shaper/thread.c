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

/* Keeps the thread until it is dead, for whoever wants to join it. Runs no Ruby code, so no interrupt comes between. */
static void note(struct manager *manager, VALUE thread) {
    VALUE threads = manager->threads;
    long living = 0;
    for (long i = 0; i < RARRAY_LEN(threads); i++) {
        VALUE known = rb_ary_entry(threads, i);
        if (RTEST(rb_funcall(known, rb_intern("alive?"), 0))) {
            rb_ary_store(threads, living++, known);
        }
    }
    rb_ary_resize(threads, living);
    rb_ary_push(threads, thread);
}

VALUE thread_start(VALUE self, VALUE (*entry)(void *self)) {
    VALUE thread = rb_thread_create(entry, (void *)self);
    note(thread_manager(self), thread);
    return thread;
}

void thread_name(VALUE name) {
    rb_funcall(rb_thread_current(), rb_intern("name="), 1, name);
}
