#include "callback.h"

#include "process.h"

void callback_set(struct callback *callback, VALUE receiver) {
    callback->receiver = receiver;
    callback->is_proc = RTEST(rb_obj_is_proc(receiver));
}

bool callback_given(const struct callback *callback) {
    return !NIL_P(callback->receiver);
}

VALUE callback_call(const struct callback *callback, int count, const VALUE *arguments) {
    if (callback->is_proc) {
        return rb_proc_call_with_block(callback->receiver, count, arguments, Qnil);
    }
    return rb_funcallv(callback->receiver, rb_intern("call"), count, arguments);
}

bool is_exception(VALUE caught) {
    /* A T_OBJECT, or of whatever type was chosen by the extension that allocates it. */
    bool object = !RB_SPECIAL_CONST_P(caught) && RB_BUILTIN_TYPE(caught) != T_IMEMO;
    return object && RTEST(rb_obj_is_kind_of(caught, rb_eException));
}

/* The exception that is being handled, as Ruby code sees it in $!; nil for a kill, which is not one. */
static VALUE handled_exception(void) {
    VALUE error = rb_errinfo();
    return is_exception(error) ? error : Qnil;
}

VALUE try_call(VALUE (*function)(VALUE argument), VALUE argument) {
    VALUE before = handled_exception();
    int state;
    VALUE result = rb_protect(function, argument, &state);
    if (!state) {
        return result;
    }
    rb_set_errinfo(before);
    return Qundef;
}

bool exception_fatal(VALUE error) {
    return RTEST(rb_obj_is_kind_of(error, rb_eSystemExit)) || RTEST(rb_obj_is_kind_of(error, rb_eSignal)) ||
           RTEST(rb_obj_is_kind_of(error, rb_eNoMemError));
}

static VALUE lives(VALUE unused) {
    (void)unused;
    return thread_dies() ? Qfalse : Qtrue;
}

enum outcome callback_outcome(int *state, VALUE *error) {
    *error = Qnil;
    VALUE caught = rb_errinfo();
    if (!is_exception(caught)) {
        return CUT_OFF;
    }
    int other;
    bool alive = rb_protect(lives, Qnil, &other) == Qtrue;
    if (other) { /* it came while we asked, and takes the place of what was raised */
        *state = other;
        caught = rb_errinfo();
        alive = is_exception(caught);
    } else {
        rb_set_errinfo(caught); /* Ruby code may have cleared it */
    }
    if (!alive) { /* raised in an `ensure`, it took the place of the kill */
        return CUT_OFF;
    }
    *error = caught;
    return exception_fatal(caught) ? RAISED_FATAL : RAISED;
}

struct call {
    VALUE receiver;
    ID method;
    int count;
    const VALUE *arguments;
};

static VALUE call_method(VALUE argument) {
    const struct call *call = (const struct call *)argument;
    return rb_funcallv(call->receiver, call->method, call->count, call->arguments);
}

static VALUE drop_error(VALUE argument, VALUE error) {
    (void)argument;
    (void)error;
    return Qnil;
}

void quietly(VALUE receiver, const char *method, int count, const VALUE *arguments) {
    struct call call = {.receiver = receiver, .method = rb_intern(method), .count = count, .arguments = arguments};
    rb_rescue2(call_method, (VALUE)&call, drop_error, Qnil, rb_eStandardError, (VALUE)0);
}
