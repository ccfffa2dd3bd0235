/*
 * histogram_object - WorkShaper::Histogram: a core/histogram.h of nanoseconds, for Ruby.
 */
#ifndef WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H
#define WORK_SHAPER_STREAM_HISTOGRAM_OBJECT_H

#include "../core/histogram.h"

#include <ruby/ruby.h>

/*
 * init_histogram - Defines WorkShaper::Histogram.
 */
void init_histogram(VALUE work_shaper);

/*
 * histogram_new - Makes an empty one.
 */
VALUE histogram_new(void);

/*
 * histogram_of - What it counts in, valid as long as the object is: histogram_record takes nanoseconds, and neither
 * runs Ruby code nor raises. Raises TypeError when it is something else.
 */
struct histogram *histogram_of(VALUE object);

#endif
