#include "push.h"

#include "../errors.h"
#include "../manager/supervisor.h"
#include "../ruby/clock.h"
#include "../ruby/options.h"
#include "../ruby/ruby_thread.h"
#include "stage.h"
#include "take.h"

/* An input that comes in. */
struct push {
    struct stream *stream;
    VALUE input;
    int64_t index; /* NO_INDEX: the next one */
    VALUE key;     /* nil: none */
    uint32_t precedence;
    struct address address;
    struct place *place; /* if it was reserved before the key was asked for */
};

#define NO_INDEX ((int64_t)-1)

/* Key and priority */

#define HIGHEST_PRIORITY ((int)(HIGHEST_PRECEDENCE / 2))
#define LOWEST_PRIORITY (-HIGHEST_PRIORITY)

static uint32_t precedence_of(VALUE priority) {
    if (!RB_INTEGER_TYPE_P(priority)) {
        rb_raise(rb_eTypeError, "priority returned %" PRIsVALUE "; it must be an Integer", rb_inspect(priority));
    }
    long value = RB_FIXNUM_P(priority) ? FIX2LONG(priority) : LONG_MAX;
    if (value < LOWEST_PRIORITY || value > HIGHEST_PRIORITY) {
        rb_raise(rb_eArgError, "priority returned %" PRIsVALUE "; it must be from %d to %d", rb_inspect(priority),
                 LOWEST_PRIORITY, HIGHEST_PRIORITY);
    }
    return (uint32_t)(HIGHEST_PRIORITY - value);
}

/* Asks the user for what the input belongs to. */
static void classify(struct push *push) {
    const struct stream *stream = push->stream;
    if (callback_given(&stream->key)) {
        push->key = callback_call(&stream->key, 1, &push->input);
    }
    if (callback_given(&stream->priority)) {
        push->precedence = precedence_of(callback_call(&stream->priority, 1, &push->input));
    }
}

static void look_up(struct push *push) {
    if (!NIL_P(push->key)) {
        push->address = address_of(push->stream->manager, push->key, Qnil);
        registry_look_up(push->stream->manager, &push->address);
    }
}

/* Going in */

static struct place *reserve(struct stream *stream, VALUE input, int64_t index) {
    if (index == NO_INDEX) {
        if (stream->results.highest == INT64_MAX) {
            rb_raise(rb_eArgError, "there is no index after 2**63 - 1: give one");
        }
        index = stream->results.highest + 1;
    }
    struct place *place = (struct place *)results_enter(&stream->results, index, (uintptr_t)input);
    if (!place) {
        rb_memerror();
    }
    place->sub_key = NULL;
    place->error = Qnil;
    RB_OBJ_WRITTEN(stream->manager->self, Qundef, input);
    return place;
}

static struct sub_key *sub_key_for(struct push *push) {
    struct manager *manager = push->stream->manager;
    if (NIL_P(push->key)) {
        return registry_anonymous_sub_key(manager);
    }
    registry_fill_sub_key(manager, &push->address);
    return push->address.sub_key;
}

static bool offer(const struct push *push, struct sub_key *sub_key, const struct place *place) {
    struct stream *stream = push->stream;
    struct scheduler *scheduler = &stream->manager->scheduler;
    uintptr_t message = (uintptr_t)LONG2FIX((long)((uintptr_t)place >> 3u));
    if (!callback_given(&stream->priority)) {
        return scheduler_offer(scheduler, &sub_key->queue, &stream->nowhere->tracker, message, place->seat.index,
                               clock_milliseconds());
    }
    return scheduler_offer_ranked(scheduler, &sub_key->queue, &stream->nowhere->tracker, message, place->seat.index,
                                  clock_milliseconds(), push->precedence);
}

/* Runs no Ruby code. Raises NoMemoryError; nothing has changed then. */
static void go_in(struct push *push) {
    struct stream *stream = push->stream;
    struct manager *manager = stream->manager;
    struct sub_key *sub_key = sub_key_for(push);
    if (!sub_key) {
        rb_memerror();
    }
    struct place *place = push->place ? push->place : reserve(stream, push->input, push->index);
    place->seat.state = SEAT_WAITING;
    place->sub_key = sub_key;
    if (!offer(push, sub_key, place)) {
        registry_release_sub_key(manager, sub_key);
        stream_settle(stream, place, SEAT_SKIPPED, Qnil);
        rb_memerror();
    }
    if (!stream->pushed++ && stream->deadline != NEVER) {
        scheduler_set_alarm(&manager->scheduler, clock_nanoseconds() + stream->deadline);
    }
    supervise(manager);
}

/* Waiting for room */

struct waiting_push {
    struct waiter waiter;
    const struct stream *stream;
    const struct stream *reader; /* whose results are taken meanwhile, or NULL */
};

/* The stage, this one or a later one, because of which nothing need be pushed any more; or NULL. */
static const struct stream *ended(const struct stream *stream) {
    while (stream && !stream_ended(stream)) {
        stream = next_stage(stream);
    }
    return stream;
}

static bool may_go_on(const struct waiter *waiter) {
    const struct waiting_push *push = (const struct waiting_push *)waiter;
    const struct stream *stream = push->stream;
    return stream_room(stream) || stream->closed || ended(stream) || (push->reader && stream_ready(push->reader));
}

static void check_open(struct stream *stream) {
    manager_get(stream->manager->self); /* raises in a forked child */
    stream_look_at_deadline(stream);
    const struct stream *stage = ended(stream);
    if (stage) {
        stream_raise(stage);
    }
    if (stream->closed) {
        rb_raise(work_shaper_closed, "the stream was closed, and takes nothing more");
    }
}

static void await_room(const struct stream *stream, const struct stream *reader, uint64_t deadline) {
    struct stream *at = (struct stream *)(reader ? reader : stream); /* whose waiters hear of both */
    struct waiting_push push = {.waiter = stream_waiter(at, may_go_on, deadline), .stream = stream, .reader = reader};
    if (deadline == NEVER && !reader && manager_inside_callback(stream->manager)) {
        rb_raise(work_shaper_full, "%u are inside, and work of the stream could wait for itself: give a timeout",
                 stream->seats);
    }
    switch (wait_until_over(&push.waiter, sizeof push)) {
    case WAIT_OVER:
        break;
    case WAIT_TIMED_OUT:
        rb_raise(work_shaper_full, "%u are inside, and the timeout is over", stream->seats);
    case WAIT_DESERTED:
        rb_raise(work_shaper_error, "the process is about to end, and the stream takes nothing more");
    }
}

static void push_when_there_is_room(struct push *push, struct stream *reader, uint64_t deadline) {
    struct stream *stream = push->stream;
    classify(push);
    for (;;) {
        look_up(push);
        check_open(stream);
        if (stream_room(stream)) {
            go_in(push);
            return;
        }
        if (reader && results_next(&reader->results)) {
            take_ready(reader);
        } else {
            await_room(stream, reader, deadline);
        }
    }
}

/* From the stage before */

static VALUE classify_protected(VALUE argument) {
    struct push *push = (struct push *)argument;
    classify(push);
    look_up(push);
    return Qnil;
}

void push_result(struct stream *stream, VALUE input) {
    struct push push = {.stream = stream, .input = input, .index = NO_INDEX, .key = Qnil};
    if (!callback_given(&stream->key) && !callback_given(&stream->priority)) {
        go_in(&push);
        return;
    }
    struct place *place = push.place = reserve(stream, input, NO_INDEX);
    place->seat.state = SEAT_RUNNING; /* so that a cancel leaves it to us */
    int state;
    rb_protect(classify_protected, (VALUE)&push, &state);
    VALUE error = Qnil;
    enum outcome outcome = state ? callback_outcome(&state, &error) : RAISED;
    if (place->seat.left) {
        results_free(&stream->results, &place->seat);
    } else if (state) {
        stream_fail(stream, place, error, outcome == CUT_OFF && stream->collects); /* as a kill in its work would */
    } else {
        go_in(&push);
    }
    /* What is meant for the process is not held back where it came to a thread of the user's. */
    if (state && (outcome == CUT_OFF || (outcome == RAISED_FATAL && !thread_is_ours()))) {
        rb_jump_tag(state);
    }
    if (state) {
        rb_set_errinfo(Qnil);
    }
}

void push_error(struct stream *stream, VALUE error) {
    RB_OBJ_WRITE(stream->manager->self, &stream->last_error, error);
    stream->closed = stream->ends_with_error = true;
    stream_changed(stream);
}

/* From a source */

bool push_from_source(struct stream *stream, VALUE input, struct stream *reader) {
    while (!stream_room(stream) && !ended(stream)) {
        if (reader && results_next(&reader->results)) {
            take_ready(reader);
        } else {
            await_room(stream, reader, NEVER);
        }
    }
    if (ended(stream)) {
        return false;
    }
    push_result(stream, input);
    if (ended(stream)) {
        stream_went_on(stream); /* its key may have failed */
    }
    if (reader) {
        take_ready(reader);
    }
    return !ended(stream);
}

/* The methods */

static struct push push_of(VALUE self, VALUE input, VALUE index) {
    struct stream *stream = stream_get(self);
    acknowledger_stand_in(stream->manager);
    return (struct push){
        .stream = stream, .input = input, .index = NIL_P(index) ? NO_INDEX : check_offset(index, "index"), .key = Qnil};
}

/*
 * call-seq: push(input, index, timeout) { |result| ... }
 *
 * Pushes when there is room. With a block it yields the results that have come, also while it waits.
 */
static VALUE push_input(VALUE self, VALUE input, VALUE index, VALUE timeout) {
    struct push push = push_of(self, input, index);
    uint64_t deadline = deadline_after(timeout);
    struct stream *reader = rb_block_given_p() ? push.stream : NULL;
    check_open(push.stream);
    push_when_there_is_room(&push, reader, deadline);
    if (reader) {
        take_ready(reader);
    }
    return Qtrue;
}

/*
 * call-seq: try_push(input, index)
 *
 * Returns false when there is no room.
 */
static VALUE try_push(VALUE self, VALUE input, VALUE index) {
    struct push push = push_of(self, input, index);
    check_open(push.stream);
    if (!stream_room(push.stream)) {
        return Qfalse;
    }
    classify(&push);
    look_up(&push);
    check_open(push.stream);
    if (!stream_room(push.stream)) {
        return Qfalse;
    }
    go_in(&push);
    return Qtrue;
}

void init_push(VALUE pool_class) {
    rb_define_method(pool_class, "push", push_input, 3);
    rb_define_method(pool_class, "try_push", try_push, 2);
}
