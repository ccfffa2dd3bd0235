/*
 * rate - WorkShaper::Rate: how much may start, for threads that ask for it and for streams.
 */
#ifndef WORK_SHAPER_STREAM_RATE_H
#define WORK_SHAPER_STREAM_RATE_H

#include <ruby/ruby.h>
#include <stdint.h>

/*
 * init_rate - Defines WorkShaper::Rate.
 */
void init_rate(VALUE work_shaper);

/*
 * rate_take - When one may start, in clock_nanoseconds; if that is not after `now`, it is taken. Runs no Ruby code.
 *
 * rate: a Rate that was made with `new`. Whoever has to wait asks again at that time, and now and then before it, since
 * `limit=` may have raised the limit; when others were first, the answer is a later time. NEVER is possible.
 */
uint64_t rate_take(VALUE rate, uint64_t now);

#endif
