/*
 * take - what comes out of a stream.
 */
#ifndef WORK_SHAPER_STREAM_TAKE_H
#define WORK_SHAPER_STREAM_TAKE_H

#include "stream.h"

#include <ruby/ruby.h>

enum take {
    TAKE_NOTHING, /* not yet */
    TAKE_RESULT,
    TAKE_ERROR, /* the stream ends with it; it is not taken out */
    TAKE_END    /* it is closed and empty */
};

/*
 * take_one - Takes out what comes next, if it has come. Runs no Ruby code.
 *
 * value: gets the result or the error (nil: a thread was killed).
 */
enum take take_one(struct stream *stream, VALUE *value);

/*
 * take_ready - Yields all results that have come, for a method that has a block. Raises the stream's error. Runs Ruby
 * code.
 */
void take_ready(struct stream *stream);

#endif
