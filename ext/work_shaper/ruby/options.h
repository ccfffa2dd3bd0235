/*
 * options - what the methods of ours are called with.
 */
#ifndef WORK_SHAPER_RUBY_OPTIONS_H
#define WORK_SHAPER_RUBY_OPTIONS_H

#include <ruby/ruby.h>
#include <stdint.h>

/*
 * keyword_or_nil - The value of the only keyword that a method knows, out of the options that rb_scan_args gave.
 * Raises ArgumentError for any other keyword.
 */
VALUE keyword_or_nil(VALUE options, const char *keyword);

/*
 * deadline_after - The deadline, in clock_nanoseconds, of a timeout given by the user in seconds; nil is NEVER.
 * Raises TypeError (not a number) or ArgumentError (negative, or NaN).
 */
uint64_t deadline_after(VALUE timeout);

/*
 * check_offset - An offset, or an index, that the user gave. Raises TypeError (no Integer) or ArgumentError (not from 0
 * to 2**63 - 1) that says so of `name`.
 */
int64_t check_large_offset(VALUE value, const char *name);

static inline int64_t check_offset(VALUE value, const char *name) {
    return RB_FIXNUM_P(value) && FIX2LONG(value) >= 0 ? FIX2LONG(value) : check_large_offset(value, name);
}

/*
 * check_number - A number that the user gave, NaN and infinity included. Raises TypeError that names it.
 */
double check_number(VALUE value, const char *name);

#endif
