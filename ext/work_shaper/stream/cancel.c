/*
 * cancel - the early end of a stream, and what work learns of it.
 */
#include "../errors.h"
#include "../ruby/clock.h"
#include "interrupt.h"
#include "stage.h"
#include "stream.h"

/* Frees all places but those of what runs. */
static void clear_places(struct stream *stream) {
    struct manager *manager = stream->manager;
    results_leave_all(&stream->results);
    struct list *link = stream->results.all.next, *next;
    for (; link != &stream->results.all; link = next) {
        next = link->next;
        struct place *place = (struct place *)LIST_ENTRY(link, struct seat, link);
        if (place->seat.state == SEAT_WAITING && sub_key_anonymous(place->sub_key)) {
            registry_drop_sub_key(manager, place->sub_key);
        }
    }
    registry_drop_waiting(manager);
    for (link = stream->results.all.next; link != &stream->results.all; link = next) {
        next = link->next;
        struct seat *seat = LIST_ENTRY(link, struct seat, link);
        if (seat->state != SEAT_RUNNING) {
            results_free(&stream->results, seat);
        }
    }
}

static void cancel(struct stream *stream, VALUE error) {
    if (stream->canceled) {
        return;
    }
    stream->canceled = stream->closed = true;
    if (NIL_P(stream->error)) {
        RB_OBJ_WRITE(stream->manager->self, &stream->error, error);
    }
    clear_places(stream);
    scheduler_set_alarm(&stream->manager->scheduler, SCHEDULER_NEVER);
    scheduler_release(&stream->manager->scheduler);
    manager_progress(stream->manager);
    waiters_look(stream->manager);
}

/* If a stage has failed, all end with that: who pushes gets the same error as who reads. */
void stream_cancel(struct stream *stream, VALUE error) {
    struct stream *first = first_stage(stream);
    for (stream = first; stream; stream = next_stage(stream)) {
        error = NIL_P(stream->error) ? error : stream->error;
    }
    for (stream = first; stream; stream = next_stage(stream)) {
        cancel(stream, error);
    }
}

static void interrupt_stages(struct stream *stream, VALUE error) {
    for (stream = first_stage(stream); stream; stream = next_stage(stream)) {
        if (stream->interrupts) {
            interrupt_unwanted(stream, error);
        }
    }
}

/*
 * call-seq: cancel(error)
 *
 * Drops what waits, here and at the other stages; who pushes and takes gets the error. What runs is told, and its
 * result dropped. Safe in a trap handler.
 */
static VALUE cancel_stream(VALUE self, VALUE error) {
    stream_cancel(stream_get(self), error);
    return Qnil;
}

/*
 * call-seq: interrupt(error)
 *
 * Raises the error into all work whose result nobody waits for any more.
 */
static VALUE interrupt(VALUE self, VALUE error) {
    interrupt_stages(stream_get(self), error);
    return Qnil;
}

void stream_alarm(struct stream *stream) {
    stream->manager->scheduler.alarmed = false;
    VALUE error = rb_funcall(stream->manager->self, rb_intern("deadline_error"), 0);
    stream_cancel(stream, error);
    interrupt_stages(stream, error);
}

void stream_look_at_deadline(struct stream *stream) {
    const struct scheduler *scheduler = &stream->manager->scheduler;
    if (scheduler->alarm.rank && clock_nanoseconds() >= scheduler->alarm.rank) {
        timekeeper_tell(stream->manager);
    }
    if (scheduler->alarmed) {
        stream_alarm(stream);
    }
}

/*
 * call-seq: close
 *
 * Nothing more is pushed.
 */
static VALUE close_stream(VALUE self) {
    struct stream *stream = stream_get(self);
    stream->closed = true;
    stream_changed(stream);
    stage_move(stream);
    return Qnil;
}

/*
 * call-seq: closed?
 */
static VALUE closed(VALUE self) {
    return stream_get(self)->closed ? Qtrue : Qfalse;
}

/*
 * call-seq: failed?
 *
 * Whether something failed for good, or it was cancelled: nothing more need be pushed.
 */
static VALUE failed(VALUE self) {
    return stream_ended(stream_get(self)) ? Qtrue : Qfalse;
}

/*
 * call-seq: error
 *
 * Why it ended, or is about to end, early; or nil.
 */
static VALUE stream_error(VALUE self) {
    return stream_get(self)->error;
}

/*
 * call-seq: room?
 */
static VALUE room(VALUE self) {
    return stream_room(stream_get(self)) ? Qtrue : Qfalse;
}

/*
 * call-seq: empty?
 *
 * Whether nothing is inside.
 */
static VALUE empty(VALUE self) {
    return stream_get(self)->results.inside ? Qfalse : Qtrue;
}

/*
 * call-seq: deadline_left
 *
 * Seconds until the deadline, or nil.
 */
static VALUE deadline_left(VALUE self) {
    uint64_t at = stream_get(self)->manager->scheduler.alarm.rank, now = clock_nanoseconds();
    return at ? DBL2NUM(at > now ? (double)(at - now) / (double)NANOSECONDS_PER_SECOND : 0) : Qnil;
}

/*
 * call-seq: work_here
 *
 * [index, failure or nil, whether nobody waits for its result any more] of the work on this thread; nil when it is not
 * one of the workers.
 */
static VALUE work_here(VALUE self) {
    const struct stream *stream = stream_get(self);
    const struct worker *worker = workers_find(stream->manager, rb_thread_current());
    if (!worker || !worker->item) {
        return Qnil;
    }
    return rb_ary_new_from_args(3, LL2NUM(worker->item->offset), sub_key_of(worker->item->queue)->failure,
                                stream_unwanted(stream, worker->item) ? Qtrue : Qfalse);
}

void init_cancel(VALUE pool_class) {
    rb_define_method(pool_class, "cancel", cancel_stream, 1);
    rb_define_method(pool_class, "interrupt", interrupt, 1);
    rb_define_method(pool_class, "close", close_stream, 0);
    rb_define_method(pool_class, "closed?", closed, 0);
    rb_define_method(pool_class, "failed?", failed, 0);
    rb_define_method(pool_class, "error", stream_error, 0);
    rb_define_method(pool_class, "room?", room, 0);
    rb_define_method(pool_class, "empty?", empty, 0);
    rb_define_method(pool_class, "deadline_left", deadline_left, 0);
    rb_define_method(pool_class, "work_here", work_here, 0);
}
