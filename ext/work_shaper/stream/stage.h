/*
 * stage - a stream whose inputs are the results of another, handed over by whoever settles or takes one: no thread is
 * in between.
 */
#ifndef WORK_SHAPER_STREAM_STAGE_H
#define WORK_SHAPER_STREAM_STAGE_H

#include "stream.h"

static inline struct stream *stage_or_null(VALUE pool) {
    return RB_NIL_P(pool) ? NULL : manager_of(pool)->stream;
}

/*
 * next_stage, previous_stage - NULL: there is none. first_stage - Where what comes out of a stream went in.
 */
static inline struct stream *next_stage(const struct stream *stream) {
    return stage_or_null(stream->next_stage);
}
static inline struct stream *previous_stage(const struct stream *stream) {
    return stage_or_null(stream->previous_stage);
}
struct stream *first_stage(struct stream *stream);

/*
 * stage_move - Moves what comes out of a stream, and of all stages before and behind it, to the next one, as far as
 * that has room, and the end, too. May run Ruby code (the next one's key and priority), and raise what the thread's
 * interrupts bring.
 */
void stage_move(struct stream *stream);

#endif
