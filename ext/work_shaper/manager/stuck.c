#include "stuck.h"

#include "../ruby/callback.h"
#include "../ruby/clock.h"
#include "../stream/stream.h"
#include "manager.h"

static void note(const struct manager *manager, struct worker *worker, uint64_t now) {
    if (worker->item && worker->sighting.turn != worker->turn) {
        uint64_t after = manager->stuck_after ? now + manager->stuck_after : NEVER;
        worker->sighting = (struct sighting){.turn = worker->turn, .since = now, .warn_at = after};
    }
}

static uint64_t age(const struct worker *worker, uint64_t now) {
    return worker->sighting.turn == worker->turn ? now - worker->sighting.since : 0;
}

/* As the Ruby side's Try: [thread, sub key, message, partition, offset, seconds, failure or nil]. */
static VALUE row(const struct worker *worker, uint64_t now) {
    const struct item *item = worker->item;
    const struct sub_key *sub_key = sub_key_of(item->queue);
    VALUE key = sub_key_anonymous(sub_key) ? Qnil : sub_key->keyed.key;
    VALUE message = worker->manager->stream ? stream_input(item) : (VALUE)item->message;
    return rb_ary_new_from_args(7, worker->thread, key, message, partition_of(item->tracker)->keyed.key,
                                LL2NUM(item->offset),
                                DBL2NUM((double)age(worker, now) / (double)NANOSECONDS_PER_SECOND), sub_key->failure);
}

/* A worker of which it is time to tell, or NULL; it is told once. */
static struct worker *find_stuck(const struct manager *manager, uint64_t now) {
    const struct list *link;
    list_each(link, &manager->workers.all) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->item && worker->sighting.turn == worker->turn && worker->sighting.warn_at <= now) {
            worker->sighting.warn_at = now + age(worker, now);
            return worker;
        }
    }
    return NULL;
}

void stuck_look(struct manager *manager) {
    uint64_t now = clock_nanoseconds();
    const struct list *link;
    list_each(link, &manager->workers.all) {
        note(manager, LIST_ENTRY(link, struct worker, link), now);
    }
    const struct worker *worker;
    while ((worker = find_stuck(manager, now))) {
        VALUE argument = row(worker, now);
        quietly(manager->self, "log_stuck", 1, &argument);
    }
}

/*
 * call-seq: running_tries
 *
 * A row of each message that a worker has: [thread, sub key, message, partition, offset, seconds, failure or nil].
 */
static VALUE running_tries(VALUE self) {
    const struct manager *manager = manager_get(self);
    VALUE rows = rb_ary_new();
    uint64_t now = clock_nanoseconds();
    const struct list *link;
    list_each(link, &manager->workers.all) {
        const struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->item) {
            rb_ary_push(rows, row(worker, now));
        }
    }
    return rows;
}

/*
 * call-seq: current_try
 *
 * The row of the current thread; nil when it is not a worker that has a message.
 */
static VALUE current_try(VALUE self) {
    const struct manager *manager = manager_get(self);
    const struct worker *worker = workers_find(manager, rb_thread_current());
    return worker && worker->item ? row(worker, clock_nanoseconds()) : Qnil;
}

void init_stuck(VALUE manager_class) {
    rb_define_private_method(manager_class, "running_tries", running_tries, 0);
    rb_define_private_method(manager_class, "current_try", current_try, 0);
}
