/*
 * histogram_object - WorkShaper::Histogram: a core/histogram.h of nanoseconds, for Ruby.
 */
#ifndef WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H
#define WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H

#include "../core/histogram.h"

#include <ruby/ruby.h>

/*
 * histogram_copy - A new WorkShaper::Histogram with what is counted so far. Raises NoMemoryError.
 */
VALUE histogram_copy(const struct histogram *histogram);

/*
 * init_histogram - Defines WorkShaper::Histogram.
 */
void init_histogram(VALUE work_shaper);

#endif
