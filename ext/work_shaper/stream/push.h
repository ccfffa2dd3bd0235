/*
 * push - what goes into a stream.
 */
#ifndef WORK_SHAPER_STREAM_PUSH_H
#define WORK_SHAPER_STREAM_PUSH_H

#include "stream.h"

#include <ruby/ruby.h>

/*
 * push_result - Pushes what came out of the stage before, for which there is room. What its key or priority raise takes
 * its place. May run Ruby code, and raise what the thread's interrupts bring.
 */
void push_result(struct stream *stream, VALUE input);

/*
 * push_from_source - Pushes what a source gave, when there is room. What its key or priority raise takes its place.
 *
 * reader: the stage whose results are yielded to the method's block meanwhile; NULL: there is none. Returns false when
 * nothing more need be read. Runs Ruby code; raises what the reader's block and the thread's interrupts bring.
 */
bool push_from_source(struct stream *stream, VALUE input, struct stream *reader);

/*
 * push_error - The source, or the stage before, ended with an error (nil: a thread was killed): that is raised when all
 * that came before is taken. Runs no Ruby code.
 */
void push_error(struct stream *stream, VALUE error);

#endif
