#include "options.h"

#include "clock.h"

#include <math.h>

VALUE keyword_or_nil(VALUE options, const char *keyword) {
    if (NIL_P(options)) {
        return Qnil;
    }
    ID id = rb_intern(keyword);
    VALUE value;
    rb_get_kwargs(options, &id, 0, 1, &value);
    return value == Qundef ? Qnil : value;
}

uint64_t deadline_after(VALUE timeout) {
    if (NIL_P(timeout)) {
        return NEVER;
    }
    if (!RTEST(rb_obj_is_kind_of(timeout, rb_cNumeric)) || RB_TYPE_P(timeout, T_COMPLEX)) {
        rb_raise(rb_eTypeError, "timeout must be a number of seconds or nil, not %" PRIsVALUE, rb_inspect(timeout));
    }
    double seconds = NUM2DBL(timeout);
    if (isnan(seconds) || seconds < 0) {
        rb_raise(rb_eArgError, "timeout must be a number of seconds >= 0, not %" PRIsVALUE, rb_inspect(timeout));
    }
    double nanoseconds = seconds * (double)NANOSECONDS_PER_SECOND;
    uint64_t now = clock_nanoseconds();
    return nanoseconds < (double)(NEVER / 2) ? now + (uint64_t)nanoseconds : NEVER;
}
