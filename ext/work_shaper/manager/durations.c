#include "durations.h"

#include "../stream/histogram_object.h"
#include "manager.h"

#include <stdlib.h>

static void begin(struct durations *durations, VALUE of) {
    durations->of = of;
    durations->next = NULL;
    histogram_init(&durations->queue);
    histogram_init(&durations->work);
}

void durations_init(struct durations *durations) {
    begin(durations, Qnil);
}

static bool same(VALUE left, VALUE right) {
    return left == right || (!NIL_P(left) && rb_str_cmp(left, right) == 0);
}

static struct durations *find(struct durations *durations, VALUE of) {
    while (durations && !same(durations->of, of)) {
        durations = durations->next;
    }
    return durations;
}

static struct durations *add(struct manager *manager, VALUE of) {
    struct durations *made = malloc(sizeof *made);
    if (!made) {
        rb_memerror();
    }
    begin(made, of);
    RB_OBJ_WRITTEN(manager->self, Qundef, of);
    made->next = manager->durations.next;
    manager->durations.next = made;
    return made;
}

struct durations *durations_of(struct manager *manager, struct partition *partition) {
    if (!partition->durations && !manager->stream) {
        VALUE of = manager->topic_of ? manager->topic_of(partition->keyed.key) : Qnil;
        struct durations *found = find(&manager->durations, of);
        partition->durations = found ? found : add(manager, of);
        RB_GC_GUARD(of);
    }
    return partition->durations;
}

void durations_mark(const struct durations *durations) {
    for (; durations; durations = durations->next) {
        rb_gc_mark(durations->of);
    }
}

void durations_destroy(struct durations *durations) {
    struct durations *next = durations->next;
    histogram_destroy(&durations->queue);
    histogram_destroy(&durations->work);
    durations->next = NULL;
    while (next) {
        struct durations *gone = next;
        next = gone->next;
        histogram_destroy(&gone->queue);
        histogram_destroy(&gone->work);
        free(gone);
    }
}

size_t durations_bytes(const struct durations *durations) {
    size_t bytes = 0;
    for (; durations; durations = durations->next) {
        bytes += sizeof *durations + histogram_bytes(&durations->queue) + histogram_bytes(&durations->work);
    }
    return bytes;
}

VALUE durations_rows(const struct durations *durations) {
    VALUE rows = rb_ary_new();
    for (; durations; durations = durations->next) { /* it only grows, and at its head */
        VALUE queue = histogram_copy(&durations->queue);
        VALUE work = histogram_copy(&durations->work);
        rb_ary_push(rows, rb_ary_new_from_args(3, durations->of, queue, work));
    }
    return rows;
}
