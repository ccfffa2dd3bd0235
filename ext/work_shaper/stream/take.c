#include "take.h"

#include "../errors.h"
#include "../ruby/clock.h"
#include "../ruby/options.h"
#include "stage.h"

static void collect(struct stream *stream, const struct place *place) {
    VALUE row = rb_ary_new_from_args(3, LL2NUM(place->seat.index), (VALUE)place->seat.value, place->error);
    rb_ary_push(stream->collected, row);
}

enum take take_one(struct stream *stream, VALUE *value) {
    struct seat *seat;
    *value = Qnil;
    while ((seat = results_next(&stream->results))) {
        enum seat_state state = seat->state;
        *value = (VALUE)seat->value;
        const struct place *place = (struct place *)seat;
        if (state == SEAT_ERROR && !place->collects) {
            *value = place->error;
            return TAKE_ERROR;
        }
        if (state == SEAT_ERROR) {
            collect(stream, place);
        }
        results_take(&stream->results, seat);
        stream->taken++;
        if (state == SEAT_VALUE) {
            return TAKE_RESULT;
        }
    }
    if (!stream->closed || stream->results.inside) {
        return TAKE_NOTHING;
    }
    *value = stream->last_error;
    return stream->ends_with_error ? TAKE_ERROR : TAKE_END;
}

/* The same for a reader: raises the error; the room that it made is used, also that of what was skipped. */
static enum take take(struct stream *stream, VALUE *value) {
    manager_get(stream->manager->self); /* raises in a forked child: what the reader does may have forked */
    stream_look_at_deadline(stream);
    if (stream->canceled) {
        stream_raise(stream);
    }
    uint32_t before = stream->results.inside;
    enum take taken = take_one(stream, value);
    if (taken == TAKE_ERROR) {
        RB_OBJ_WRITE(stream->manager->self, &stream->error, *value);
        stream_raise(stream);
    }
    if (stream->results.inside < before && stream->manager->roster.room_awaited) {
        stream_changed(stream);
    }
    struct stream *previous = previous_stage(stream);
    if (previous) {
        stream_went_on(previous);
    }
    return taken;
}

void take_ready(struct stream *stream) {
    VALUE value;
    while (results_next(&stream->results) && take(stream, &value) == TAKE_RESULT) {
        rb_yield(value);
    }
}

struct reading {
    struct waiter waiter;
    struct stream *stream;
    const struct stream *fed; /* the first stage, if the reader is to go on when there is room; or NULL */
};

static bool may_be_fed(const struct stream *fed) {
    return fed && !fed->closed && stream_room(fed);
}

static bool ready(const struct waiter *waiter) {
    const struct reading *reading = (const struct reading *)waiter;
    return stream_ready(reading->stream) || may_be_fed(reading->fed);
}

/* Returns false when the deadline has come. */
static bool await(struct stream *stream, const struct stream *fed, uint64_t deadline) {
    struct reading reading = {.waiter = stream_waiter(stream, ready, deadline), .stream = stream, .fed = fed};
    enum wait_end end = wait_until_over(&reading.waiter, sizeof reading);
    if (end == WAIT_DESERTED) {
        rb_raise(work_shaper_error, "the process is about to end, and no thread works on the stream any more");
    }
    return end == WAIT_OVER;
}

/*
 * call-seq: take(timeout, first)
 *
 * Waits for the next result. Returns [result]; nil at the end; false when the timeout (seconds, or nil) is over; true
 * when there is room in the first stage (a pool, or nil: never mind), which nobody else feeds.
 */
static VALUE take_next(VALUE self, VALUE timeout, VALUE first) {
    struct stream *stream = stream_get(self);
    const struct stream *fed = stage_or_null(first);
    uint64_t deadline = deadline_after(timeout);
    VALUE value;
    for (;;) {
        switch (take(stream, &value)) {
        case TAKE_RESULT:
            return rb_ary_new_from_args(1, value);
        case TAKE_END:
            return Qnil;
        default:
            if (may_be_fed(fed)) {
                return Qtrue;
            }
            if (!await(stream, fed, deadline)) {
                return Qfalse;
            }
        }
    }
}

/*
 * call-seq: each_result { |result| ... }
 *
 * Yields every result, up to the end.
 */
static VALUE each_result(VALUE self) {
    struct stream *stream = stream_get(self);
    VALUE value;
    for (;;) {
        enum take taken = take(stream, &value);
        if (taken == TAKE_END) {
            return Qnil;
        }
        if (taken == TAKE_RESULT) {
            rb_yield(value);
        } else {
            await(stream, NULL, NEVER);
        }
    }
}

/*
 * call-seq: collected
 *
 * [index, input, error] of each that failed for good, in any order.
 */
static VALUE collected(VALUE self) {
    return rb_ary_dup(stream_get(self)->collected);
}

void init_take(VALUE pool_class) {
    rb_define_method(pool_class, "take", take_next, 2);
    rb_define_method(pool_class, "each_result", each_result, 0);
    rb_define_method(pool_class, "collected", collected, 0);
}
