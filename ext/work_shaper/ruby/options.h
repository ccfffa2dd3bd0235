/*
 * options - the keyword arguments of our methods.
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

#endif
