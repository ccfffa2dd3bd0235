#include "interrupt.h"

struct raising {
    struct stream *stream;
    VALUE thread, error;
};

static struct worker *find(const struct stream *stream, VALUE current) {
    const struct list *link;
    list_each(link, &stream->manager->workers.all) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->item && worker->phase == IN_WORK && worker->hit == NOT_HIT && worker->thread != current &&
            stream_unwanted(stream, worker->item)) {
            return worker;
        }
    }
    return NULL;
}

static VALUE raise_into(VALUE argument) {
    const struct raising *hit = (const struct raising *)argument;
    return rb_funcall(hit->thread, rb_intern("raise"), 1, hit->error);
}

/* The worker is looked up again, since it may have been killed. */
static VALUE has_hit(VALUE argument) {
    const struct raising *hit = (const struct raising *)argument;
    struct worker *worker = workers_find(hit->stream->manager, hit->thread);
    if (worker) {
        worker->hit = HAS_BEEN_HIT;
    }
    return Qnil;
}

void interrupt_unwanted(struct stream *stream, VALUE error) {
    VALUE current = rb_thread_current();
    struct worker *worker;
    while ((worker = find(stream, current))) {
        struct raising hit = {.stream = stream, .thread = worker->thread, .error = error};
        worker->hit = BEING_HIT;
        rb_ensure(raise_into, (VALUE)&hit, has_hit, (VALUE)&hit);
        RB_GC_GUARD(hit.thread);
    }
}

void interrupt_settle(struct worker *worker) {
    if (!interrupt_pending(worker)) {
        return;
    }
    while (worker->hit == BEING_HIT) {
        rb_thread_schedule();
    }
    worker->hit = NOT_HIT;
    rb_thread_check_ints();
}
