/*
 * stream - results instead of acknowledgements.
 *
 * A stream is a manager of a second kind. What is pushed is an item of its scheduler, on a sub key or on none; its
 * workers, its waits and its heap of times are the manager's. But its items have no partition to acknowledge: each has
 * a seat among the results (core/results.h) until its result is taken, and that bounds the stream. The message of an
 * item is its seat, as an Integer that the collector passes over.
 *
 * The GVL guards all of it, as in manager.h.
 */
#ifndef WORK_SHAPER_STREAM_STREAM_H
#define WORK_SHAPER_STREAM_STREAM_H

#include "../core/item.h"
#include "../core/results.h"
#include "../manager/manager.h"
#include "../ruby/callback.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

/* An input from its push until its result is taken. */
struct place {
    struct seat seat;
    struct sub_key *sub_key; /* while its item lives; NULL: it has none (yet) */
    VALUE error;             /* once settled with SEAT_ERROR; nil: its thread was killed */
    bool collects;           /* and whether that is told at the end, not at its turn */
};

struct stream {
    struct manager *manager;
    struct results results;
    struct partition *nowhere; /* of all its items: untracked */
    uint32_t seats;            /* max_in_flight: places at most */
    bool interrupts;           /* work is interrupted, not only told, when the stream ends early */
    bool collects;             /* what fails for good is collected, and told at the end */
    bool ends_with_error;      /* and then comes the last error */
    bool reading;              /* its source has control */
    bool closed;               /* nothing more is pushed */
    bool canceled;             /* nothing more comes out */
    bool failed;               /* something failed for good: what is behind it is not wanted */
    int64_t failed_index;      /* ordered: the lowest of these */
    bool just_failed;          /* what is behind it is yet to be interrupted */
    struct callback block, key, priority, local, release;
    VALUE rate;           /* how fast work starts, or nil */
    VALUE error;          /* why it ended early, or nil */
    VALUE last_error;     /* that of the source, or of the stage before */
    VALUE collected;      /* Array of [index, input, error] */
    uint64_t deadline;    /* nanoseconds for all, from the first input; NEVER: none */
    VALUE next_stage;     /* gets its results, or nil */
    VALUE previous_stage; /* whose results it gets, or nil */
    bool moving;          /* results are being moved to the next stage */
    bool moves_again;     /* and there may be more since */
    uint64_t pushed, taken, failures, retries, skipped;
};

/*
 * stream_get - The stream behind a Ruby object. Raises Error when it was never set up, ForkedProcess in a forked child.
 */
struct stream *stream_get(VALUE self);

/*
 * stream_raise - Raises why it takes or gives nothing more: the error of its end.
 */
void stream_raise(const struct stream *stream);

/*
 * stream_room - Whether one more may be pushed. stream_ready - Whether something comes out, or never will any more.
 */
static inline bool stream_room(const struct stream *stream) {
    return stream->results.inside < stream->seats;
}
bool stream_ready(const struct stream *stream);

/*
 * stream_ended - Whether something failed for good, or it was cancelled.
 */
static inline bool stream_ended(const struct stream *stream) {
    return stream->failed || stream->canceled;
}

/*
 * stream_waiter - One that waits at a stream, for stream_changed to look at.
 *
 * deadline: in clock_nanoseconds, or NEVER.
 */
struct waiter stream_waiter(const struct stream *stream, bool (*over)(const struct waiter *waiter), uint64_t deadline);

/*
 * stream_changed - A seat was freed, or something is settled: wakes who waits, here and at the later stages. Runs no
 * Ruby code.
 */
void stream_changed(struct stream *stream);

/*
 * stream_cancel - Drops all that waits; nothing more is pushed or taken: that raises the error. What runs is told, and
 * its result dropped. Runs no Ruby code.
 */
void stream_cancel(struct stream *stream, VALUE error);

/*
 * stream_settle - What became of a place's input. Runs no Ruby code.
 */
void stream_settle(struct stream *stream, struct place *place, enum seat_state state, VALUE value);

/*
 * stream_fail - The same when it failed for good. collects: the error is told at the end, and does not end the stream.
 */
void stream_fail(struct stream *stream, struct place *place, VALUE error, bool collects);

/* For the workers. */

/*
 * stream_take - The same as scheduler_take; but when the rate does not let anything start now, everything is paused
 * until it may. Runs no Ruby code.
 */
struct item *stream_take(struct stream *stream);

/*
 * stream_over - An item will be none any more. stream_retries - It waits for its next try, unless the result (false) is
 * not wanted any more. Neither runs Ruby code.
 */
void stream_over(struct stream *stream, const struct item *item);
bool stream_retries(struct stream *stream, const struct item *item);

/*
 * stream_input - What was pushed.
 */
VALUE stream_input(const struct item *item);

/*
 * stream_unwanted - Whether nobody waits for the result of an item any more.
 */
bool stream_unwanted(const struct stream *stream, const struct item *item);

/*
 * stream_work - Calls the block for a worker's item, and settles its place. Raises what that raises.
 */
void stream_work(struct stream *stream, struct worker *worker);

/*
 * stream_note_outcome - As the Ruby side says it: [:value, result], [:error, exception], [:collect,
 * exception] or [:skip].
 */
void stream_note_outcome(struct stream *stream, const struct item *item, VALUE outcome);

/*
 * stream_note_error, stream_cut_off - It failed for good; its thread was killed.
 */
void stream_note_error(struct stream *stream, const struct item *item, VALUE error);
void stream_cut_off(struct stream *stream, const struct item *item);

/*
 * stream_went_on - After something was settled or taken: the stages get what comes out of those before them, and what
 * runs behind a failure is interrupted. May run Ruby code, and raise what the thread's interrupts bring.
 */
void stream_went_on(struct stream *stream);

/*
 * stream_worker_ends - At the end of a worker, which has no item any more and does not come: the stream goes on without
 * it, and what its work shared is released. Runs Ruby code. Never raises.
 */
void stream_worker_ends(struct stream *stream, struct worker *worker);

/*
 * stream_look_at_deadline - For who pushes or takes: while nobody waits and nothing runs, no thread looks at the clock.
 * May run Ruby code.
 */
void stream_look_at_deadline(struct stream *stream);

/*
 * stream_alarm - The deadline has come. May run Ruby code.
 */
void stream_alarm(struct stream *stream);

/* For the manager. */
void stream_mark(const struct stream *stream);
void stream_destroy(struct stream *stream);

/*
 * init_stream - Defines the class; the others define their methods on it.
 */
void init_stream(VALUE work_shaper);
void init_push(VALUE pool_class);
void init_source(VALUE pool_class);
void init_take(VALUE pool_class);
void init_stage(VALUE pool_class);
void init_cancel(VALUE pool_class);

#endif
