/*
 * histogram_object - WorkShaper::Histogram: a core/histogram.h of nanoseconds, for Ruby.
 */
#ifndef WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H
#define WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H

#include <ruby/ruby.h>

/*
 * init_histogram - Defines WorkShaper::Histogram.
 */
void init_histogram(VALUE work_shaper);

#endif
