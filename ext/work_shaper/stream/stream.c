#include "stream.h"

#include "../errors.h"
#include "../manager/supervisor.h"
#include "../ruby/clock.h"
#include "../ruby/ruby_thread.h"
#include "interrupt.h"
#include "rate.h"
#include "stage.h"

#include <stdlib.h>

static struct place *place_of(const struct item *item) {
    return (struct place *)(uintptr_t)((uint64_t)FIX2LONG((VALUE)item->message) << 3u);
}

/* Object */

static struct stream *allocate(struct manager *manager) {
    struct stream *stream = calloc(1, sizeof *stream);
    struct partition *nowhere = calloc(1, sizeof *nowhere);
    if (!stream || !nowhere) {
        free(stream);
        free(nowhere);
        rb_memerror();
    }
    nowhere->keyed.key = Qnil;
    offset_tracker_init_untracked(&nowhere->tracker);
    stream->manager = manager;
    stream->nowhere = nowhere;
    stream->rate = stream->error = stream->last_error = stream->collected = stream->next_stage =
        stream->previous_stage = Qnil;
    stream->block.receiver = stream->key.receiver = stream->priority.receiver = Qnil;
    stream->local.receiver = stream->release.receiver = Qnil;
    results_init(&stream->results, true, sizeof(struct place));
    return stream;
}

static VALUE allocate_pool(VALUE class) {
    VALUE self = manager_allocate(class);
    struct manager *manager = manager_of(self);
    manager->stream = allocate(manager);
    return self;
}

void stream_mark(const struct stream *stream) {
    const VALUE held[] = {stream->block.receiver, stream->key.receiver,     stream->priority.receiver,
                          stream->local.receiver, stream->release.receiver, stream->rate,
                          stream->error,          stream->last_error,       stream->collected,
                          stream->next_stage,     stream->previous_stage};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        rb_gc_mark(held[i]);
    }
    const struct list *link;
    list_each(link, &stream->results.all) {
        const struct place *place = (const struct place *)LIST_ENTRY(link, struct seat, link);
        rb_gc_mark((VALUE)place->seat.value);
        rb_gc_mark(place->error);
        if (place->sub_key && sub_key_anonymous(place->sub_key)) { /* the table has the others */
            rb_gc_mark(place->sub_key->failure);
        }
    }
}

/* Of the manager no thread is left: nothing runs. */
void stream_destroy(struct stream *stream) {
    struct manager *manager = stream->manager;
    struct list *link;
    while ((link = list_first(&stream->results.all))) {
        struct place *place = (struct place *)LIST_ENTRY(link, struct seat, link);
        if (place->sub_key && sub_key_anonymous(place->sub_key)) {
            scheduler_discard(&manager->scheduler, &place->sub_key->queue);
            pool_release(&manager->registry.sub_key_pool, place->sub_key);
        }
        results_free(&stream->results, &place->seat);
    }
    pool_destroy(&stream->results.seats);
    free(stream->nowhere);
    free(stream);
}

struct stream *stream_get(VALUE self) {
    return manager_get(self)->stream;
}

/* Settings */

static void set_callback(struct stream *stream, struct callback *callback, VALUE receiver) {
    callback_set(callback, receiver);
    RB_OBJ_WRITTEN(stream->manager->self, Qundef, receiver);
}

/*
 * call-seq: set_up(block, failures, settings)
 *
 * The native half of initialize; the settings are a Hash of checked values, also those of a manager.
 */
static VALUE set_up(VALUE self, VALUE block, VALUE failures, VALUE settings) {
    struct manager *manager = manager_of(self);
    struct stream *stream = manager->stream;
    manager_prepare(manager, failures, settings);
#define SETTING(name) rb_hash_fetch(settings, ID2SYM(rb_intern(name)))
    set_callback(stream, &stream->block, block);
    set_callback(stream, &stream->key, SETTING("key"));
    set_callback(stream, &stream->priority, SETTING("priority"));
    set_callback(stream, &stream->local, SETTING("local"));
    set_callback(stream, &stream->release, SETTING("release"));
    results_init(&stream->results, RTEST(SETTING("ordered")), sizeof(struct place));
    stream->seats = NUM2UINT(SETTING("seats"));
    stream->interrupts = RTEST(SETTING("interrupt"));
    stream->collects = RTEST(SETTING("collects"));
    stream->deadline = NIL_P(SETTING("deadline")) ? NEVER : NUM2ULL(SETTING("deadline"));
    RB_OBJ_WRITE(self, &stream->rate, SETTING("rate"));
    RB_OBJ_WRITE(self, &stream->collected, rb_ary_new());
#undef SETTING
    manager->roster.transient = true;
    manager->set_up = true;
    return self;
}

/*
 * call-seq: counts
 *
 * [pushed, taken, inside, waiting, running, retrying, workers, failures, retries, skipped]
 */
static VALUE counts(VALUE self) {
    const struct stream *stream = stream_get(self);
    const struct scheduler *scheduler = &stream->manager->scheduler;
    VALUE values[] = {ULL2NUM(stream->pushed),
                      ULL2NUM(stream->taken),
                      UINT2NUM(stream->results.inside),
                      UINT2NUM(scheduler->waiting),
                      UINT2NUM(scheduler->running),
                      UINT2NUM(scheduler->retrying),
                      UINT2NUM(stream->manager->roster.workers),
                      ULL2NUM(stream->failures),
                      ULL2NUM(stream->retries),
                      ULL2NUM(stream->skipped)};
    return rb_ary_new_from_values(sizeof values / sizeof *values, values);
}

/* What comes out */

bool stream_ready(const struct stream *stream) {
    return stream->canceled || results_next(&stream->results) || (stream->closed && !stream->results.inside);
}

struct waiter stream_waiter(const struct stream *stream, bool (*over)(const struct waiter *waiter), uint64_t deadline) {
    struct manager *manager = stream->manager;
    return (struct waiter){
        .manager = manager, .over = over, .counted = &manager->roster.room_awaited, .deadline = deadline};
}

void stream_changed(struct stream *stream) {
    for (; stream; stream = next_stage(stream)) {
        if (stream->manager->roster.room_awaited) {
            waiters_look(stream->manager);
        }
    }
}

void stream_settle(struct stream *stream, struct place *place, enum seat_state state, VALUE value) {
    place->sub_key = NULL;
    stream->skipped += state == SEAT_SKIPPED && !place->seat.left;
    results_settle(&stream->results, &place->seat, state, (uintptr_t)value);
    RB_OBJ_WRITTEN(stream->manager->self, Qundef, value);
    if (results_next(&stream->results) == &place->seat) {
        stream_changed(stream);
    }
}

void stream_fail(struct stream *stream, struct place *place, VALUE error, bool collects) {
    VALUE self = stream->manager->self;
    int64_t index = place->seat.index;
    RB_OBJ_WRITE(self, &place->error, error);
    stream->failures++;
    bool first = !stream->failed || (stream->results.ordered && index < stream->failed_index);
    place->collects = collects;
    if (!collects && first) {
        stream->failed = stream->just_failed = true;
        stream->failed_index = index;
        RB_OBJ_WRITE(self, &stream->error, error);
    }
    stream_settle(stream, place, SEAT_ERROR, (VALUE)place->seat.value);
    if (stream->failed) {
        stream_changed(stream); /* who pushes hears of it at once */
    }
}

void stream_raise(const struct stream *stream) {
    if (NIL_P(stream->error)) {
        rb_raise(work_shaper_error, "a piece of work was cut off: its thread was killed");
    }
    rb_exc_raise(stream->error);
}

/* The workers */

/* A rate is asked again before the time that it said, since it may be raised meanwhile. */
#define RATE_PATIENCE (50 * NANOSECONDS_PER_MILLISECOND)

/* Whether the rate lets something start now, which then counts. */
static bool may_start(struct stream *stream) {
    if (NIL_P(stream->rate) || !scheduler_ready(&stream->manager->scheduler)) {
        return true;
    }
    uint64_t now = clock_nanoseconds();
    uint64_t at = rate_take(stream->rate, now);
    if (at <= now) {
        return true;
    }
    uint64_t look_at = now + RATE_PATIENCE;
    scheduler_pause(&stream->manager->scheduler, at < look_at ? at : look_at);
    return false;
}

struct item *stream_take(struct stream *stream) {
    struct item *item = may_start(stream) ? scheduler_take(&stream->manager->scheduler) : NULL;
    if (item) {
        place_of(item)->seat.state = SEAT_RUNNING;
    }
    return item;
}

VALUE stream_input(const struct item *item) {
    return (VALUE)place_of(item)->seat.value;
}

/* What is at an earlier stage is behind all that has come to a later one. */
static bool unwanted(const struct stream *stream, const struct place *place) {
    if (stream->canceled || place->seat.left) {
        return true;
    }
    for (const struct stream *later = stream; (later = next_stage(later));) {
        if (later->failed) {
            return true;
        }
    }
    return stream->failed && (!stream->results.ordered || place->seat.index > stream->failed_index);
}

bool stream_unwanted(const struct stream *stream, const struct item *item) {
    return unwanted(stream, place_of(item));
}

void stream_over(struct stream *stream, const struct item *item) {
    struct place *place = place_of(item);
    if (place->seat.left) {
        results_free(&stream->results, &place->seat);
    } else if (place->seat.state < SEAT_VALUE) {
        stream_settle(stream, place, SEAT_SKIPPED, Qnil);
    }
}

bool stream_retries(struct stream *stream, const struct item *item) {
    struct place *place = place_of(item);
    if (unwanted(stream, place)) {
        return false;
    }
    place->seat.state = SEAT_WAITING;
    stream->retries++;
    return true;
}

static VALUE local_of(struct stream *stream, struct worker *worker) {
    if (worker->local == Qundef) {
        VALUE local = callback_call(&stream->local, 0, NULL);
        RB_OBJ_WRITE(stream->manager->self, &worker->local, local);
    }
    return worker->local;
}

void stream_work(struct stream *stream, struct worker *worker) {
    struct place *place = place_of(worker->item);
    if (unwanted(stream, place)) {
        worker->attempt.began_at = 0; /* there is none */
        return;
    }
    VALUE arguments[2] = {(VALUE)place->seat.value};
    int count = 1;
    if (callback_given(&stream->local)) {
        arguments[count++] = local_of(stream, worker);
    }
    VALUE result = callback_call(&stream->block, count, arguments);
    interrupt_settle(worker);
    if (!manager_forked(stream->manager) && !unwanted(stream, place)) {
        stream_settle(stream, place, SEAT_VALUE, result);
    }
    RB_GC_GUARD(result);
}

void stream_note_outcome(struct stream *stream, const struct item *item, VALUE outcome) {
    struct place *place = place_of(item);
    VALUE kind = rb_ary_entry(outcome, 0), value = rb_ary_entry(outcome, 1);
    if (unwanted(stream, place)) {
        return;
    }
    if (kind == ID2SYM(rb_intern("value"))) {
        stream_settle(stream, place, SEAT_VALUE, value);
    } else if (kind != ID2SYM(rb_intern("skip"))) {
        stream_fail(stream, place, value, kind == ID2SYM(rb_intern("collect")));
    }
}

void stream_note_error(struct stream *stream, const struct item *item, VALUE error) {
    if (!stream_unwanted(stream, item)) {
        stream_fail(stream, place_of(item), error, stream->collects);
    }
}

void stream_cut_off(struct stream *stream, const struct item *item) {
    stream_note_error(stream, item, Qnil);
}

/* Work of this stage and of those before it. */
static void interrupt_behind(struct stream *failed) {
    VALUE error = rb_funcall(failed->manager->self, rb_intern("cancelled_error"), 0);
    for (struct stream *stream = failed; stream; stream = previous_stage(stream)) {
        if (stream->interrupts) {
            interrupt_unwanted(stream, error);
        }
    }
}

void stream_went_on(struct stream *stream) {
    stage_move(stream);
    for (stream = first_stage(stream); stream; stream = next_stage(stream)) {
        if (stream->just_failed) {
            stream->just_failed = false;
            interrupt_behind(stream);
        }
    }
}

struct releasing {
    const struct callback *release;
    VALUE local;
};

static VALUE call_release(VALUE argument) {
    const struct releasing *releasing = (const struct releasing *)argument;
    return callback_call(releasing->release, 1, &releasing->local);
}

static VALUE go_on(VALUE argument) {
    stream_went_on((struct stream *)argument);
    return Qnil;
}

void stream_worker_ends(struct stream *stream, struct worker *worker) {
    thread_try(go_on, (VALUE)stream); /* it may have been killed before it did so */
    struct releasing releasing = {.release = &stream->release, .local = worker->local};
    worker->local = Qundef;
    if (releasing.local != Qundef && callback_given(&stream->release)) {
        thread_try(call_release, (VALUE)&releasing);
    }
    RB_GC_GUARD(releasing.local);
}

void init_stream(VALUE work_shaper) {
    VALUE manager_class = rb_const_get(work_shaper, rb_intern("Manager"));
    VALUE stream_class = rb_define_class_under(work_shaper, "Stream", rb_cObject);
    VALUE pool_class = rb_define_class_under(stream_class, "Pool", manager_class);
    rb_define_alloc_func(pool_class, allocate_pool);
    rb_define_private_method(pool_class, "set_up", set_up, 3);
    rb_define_method(pool_class, "counts", counts, 0);
    init_push(pool_class);
    init_source(pool_class);
    init_take(pool_class);
    init_stage(pool_class);
    init_cancel(pool_class);
}
