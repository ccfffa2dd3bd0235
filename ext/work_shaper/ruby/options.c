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

int64_t check_large_offset(VALUE value, const char *name) {
    if (!RB_INTEGER_TYPE_P(value)) {
        rb_raise(rb_eTypeError, "%s must be an Integer from 0 to 2**63 - 1, not %" PRIsVALUE, name, rb_inspect(value));
    }
    int64_t offset;
    int sign =
        rb_integer_pack(value, &offset, 1, sizeof offset, 0, INTEGER_PACK_NATIVE_BYTE_ORDER | INTEGER_PACK_2COMP);
    if (sign < 0 || sign > 1 || offset < 0) {
        rb_raise(rb_eArgError, "%s must be an Integer from 0 to 2**63 - 1, not %" PRIsVALUE, name, rb_inspect(value));
    }
    return offset;
}

double check_number(VALUE value, const char *name) {
    if (RB_FLOAT_TYPE_P(value)) {
        return RFLOAT_VALUE(value);
    }
    if (!RTEST(rb_obj_is_kind_of(value, rb_cNumeric)) || RB_TYPE_P(value, T_COMPLEX)) {
        rb_raise(rb_eTypeError, "%s must be a number, not %" PRIsVALUE, name, rb_inspect(value));
    }
    return NUM2DBL(value);
}
