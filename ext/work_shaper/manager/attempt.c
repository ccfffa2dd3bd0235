#include "attempt.h"

#include "../ruby/callback.h"
#include "../ruby/clock.h"
#include "manager.h"

static VALUE wanted(VALUE self) {
    return rb_funcall(self, rb_intern("attempts_wanted?"), 0);
}

void attempt_ask(struct manager *manager) {
    manager->listeners.asked_at = clock_milliseconds(); /* first: others may come here meanwhile */
    manager->listeners.wanted = try_call(wanted, manager->self) == Qtrue;
}

void attempt_look(struct manager *manager) {
    uint32_t since = clock_milliseconds() - manager->listeners.asked_at;
    if (since * NANOSECONDS_PER_MILLISECOND >= manager->acknowledger.tick) {
        attempt_ask(manager);
    }
}

void attempt_look_at_rest(struct manager *manager) {
    if (!manager->scheduler.in_flight) {
        attempt_look(manager);
    }
}

void attempt_begin(struct worker *worker) {
    if (!worker->manager->listeners.wanted) {
        worker->attempt.began_at = 0;
        return;
    }
    worker->attempt.began_at = clock_nanoseconds();
    worker->attempt.queued = clock_milliseconds() - worker->item->received_at;
}

VALUE attempt_row(const struct worker *worker, VALUE message, bool done) {
    if (!worker->attempt.began_at) {
        return Qnil;
    }
    const struct item *item = worker->item;
    uint64_t took = clock_nanoseconds() - worker->attempt.began_at;
    return rb_ary_new_from_args(7, message, partition_of(item->tracker)->keyed.key, LL2NUM(item->offset),
                                sub_key_of(item->queue)->failure, done ? Qtrue : Qfalse,
                                DBL2NUM((double)took / (double)NANOSECONDS_PER_SECOND),
                                DBL2NUM(worker->attempt.queued / 1000.0));
}

void attempt_tell(const struct manager *manager, VALUE row) {
    if (!NIL_P(row)) {
        quietly(manager->self, "tell_attempt", 1, &row);
    }
}
