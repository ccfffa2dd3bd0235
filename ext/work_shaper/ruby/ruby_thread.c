#include "ruby_thread.h"

#include "callback.h"

/* What marks a thread as ours: an instance variable that Ruby code cannot name. */
static ID id_ours;

void init_thread(void) {
    id_ours = rb_intern("work_shaper_thread");
}

bool thread_is_ours(void) {
    return RTEST(rb_attr_get(rb_thread_current(), id_ours));
}

VALUE thread_start(VALUE self, VALUE (*entry)(void *self)) {
    return rb_thread_create(entry, (void *)self);
}

bool thread_wake(VALUE thread) {
    return !NIL_P(rb_thread_wakeup_alive(thread));
}

bool thread_asleep(VALUE thread) {
    return RTEST(rb_funcall(thread, rb_intern("stop?"), 0));
}

void thread_name(VALUE name) {
    rb_funcall(rb_thread_current(), rb_intern("name="), 1, name);
}

void thread_belongs_to(const char *variable, VALUE object) {
    rb_funcall(rb_thread_current(), rb_intern("thread_variable_set"), 2, ID2SYM(rb_intern(variable)), object);
}

bool thread_group_closed(VALUE thread) {
    VALUE group = rb_funcall(thread, rb_intern("group"), 0);
    return !NIL_P(group) && (OBJ_FROZEN(group) || RTEST(rb_funcall(group, rb_intern("enclosed?"), 0)));
}

/* What a new thread inherits */

static VALUE join_default_group(VALUE thread) {
    VALUE groups = rb_const_get(rb_cObject, rb_intern("ThreadGroup"));
    return rb_funcall(rb_const_get(groups, rb_intern("Default")), rb_intern("add"), 1, thread);
}

static VALUE stay(VALUE thread, VALUE error) {
    (void)error;
    return thread; /* an enclosed group lets nobody go */
}

/* Since Ruby 3.2. It may hold the customer of some request, which no later message must see. */
static void empty_fiber_storage(void) {
    VALUE fibers = rb_const_get(rb_cObject, rb_intern("Fiber"));
    if (!rb_respond_to(fibers, rb_intern("[]="))) {
        return;
    }
    VALUE storage = rb_funcall(rb_fiber_current(), rb_intern("storage"), 0);
    VALUE names = NIL_P(storage) ? rb_ary_new() : rb_funcall(storage, rb_intern("keys"), 0);
    for (long i = 0; i < RARRAY_LEN(names); i++) {
        rb_funcall(fibers, rb_intern("[]="), 2, rb_ary_entry(names, i), Qnil);
    }
}

static void settle_in(void) {
    VALUE thread = rb_thread_current();
    rb_ivar_set(thread, id_ours, Qtrue);
    rb_funcall(thread, rb_intern("priority="), 1, INT2FIX(0));
    rb_rescue2(join_default_group, thread, stay, thread, rb_eThreadError, (VALUE)0);
    empty_fiber_storage();
}

/* Running */

struct run {
    VALUE self;
    VALUE (*body)(VALUE self);
    VALUE (*ended)(VALUE self);
};

static VALUE with_interrupts(const char *timing, rb_block_call_func_t block, struct run *run) {
    VALUE mask = rb_hash_new();
    rb_hash_aset(mask, rb_cObject, ID2SYM(rb_intern(timing)));
    return rb_block_call(rb_cThread, rb_intern("handle_interrupt"), 1, &mask, block, (VALUE)run);
}

static VALUE run_body(RB_BLOCK_CALL_FUNC_ARGLIST(yielded, argument)) {
    (void)yielded;
    (void)argc;
    (void)argv;
    (void)blockarg;
    const struct run *run = (const struct run *)argument;
    return run->body(run->self);
}

static VALUE run_interruptible(VALUE argument) {
    settle_in();
    return with_interrupts("immediate", run_body, (struct run *)argument);
}

static VALUE run_ended(VALUE argument) {
    const struct run *run = (const struct run *)argument;
    return run->ended(run->self);
}

static VALUE run_to_the_end(RB_BLOCK_CALL_FUNC_ARGLIST(yielded, argument)) {
    (void)yielded;
    (void)argc;
    (void)argv;
    (void)blockarg;
    return rb_ensure(run_interruptible, argument, run_ended, argument);
}

static VALUE call_interruptible(VALUE argument) {
    return with_interrupts("immediate", run_body, (struct run *)argument);
}

void thread_try(VALUE (*function)(VALUE argument), VALUE argument) {
    struct run run = {.self = argument, .body = function};
    try_call(call_interruptible, (VALUE)&run);
}

VALUE thread_run(VALUE self, VALUE (*body)(VALUE self), VALUE (*ended)(VALUE self)) {
    struct run run = {.self = self, .body = body, .ended = ended};
    VALUE result = with_interrupts("never", run_to_the_end, &run);
    RB_GC_GUARD(self);
    return result;
}
