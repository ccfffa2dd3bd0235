/*
 * stats - the state of a manager, as plain numbers and rows for the Ruby side.
 */
#include "../ruby/clock.h"
#include "manager.h"

/*
 * How many messages were enqueued since the manager was made.
 *
 * @return [Integer]
 * @example
 *   shaper.total_enqueued #=> 1000
 */
static VALUE total_enqueued(VALUE self) {
    return ULL2NUM(manager_get(self)->scheduler.total_enqueued);
}

/*
 * How many offsets are done with: acknowledged, refused by `ack`, or repeated ones.
 *
 * @return [Integer]
 * @example
 *   shaper.total_enqueued - shaper.total_acked
 */
static VALUE total_acked(VALUE self) {
    return ULL2NUM(manager_get(self)->scheduler.total_acknowledged);
}

/*
 * Whether the manager was asked to shut down, or did so by itself. Safe in a trap handler.
 *
 * @return [Boolean]
 * @example
 *   break if shaper.shutting_down?
 */
static VALUE shutting_down(VALUE self) {
    return manager_get(self)->roster.closing ? Qtrue : Qfalse;
}

static VALUE offset_or_nil(int64_t offset) {
    return offset == OFFSET_NONE ? Qnil : LL2NUM(offset);
}

/* The thread that has a message, or nil. */
static VALUE thread_with(const struct manager *manager, const struct item *item) {
    const struct list *link;
    list_each(link, &manager->workers.all) {
        const struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->item == item) {
            return worker->thread;
        }
    }
    return Qnil;
}

/*
 * [partition, last_acked, received, waiting, running, finished_beyond (finished, and not acknowledged),
 * oldest_unfinished, oldest_sub_key, oldest_age_sec, its failure or nil, its thread or nil, finished (in this
 * assignment), begun (and not finished), unsettled (received and not acknowledged), last_received (the highest)]
 */
static VALUE partition_row(const struct manager *manager, const struct partition *partition) {
    const struct offset_tracker *tracker = &partition->tracker;
    const struct tracked *oldest = offset_tracker_oldest(tracker);
    const struct item *item = oldest && oldest->item != &offset_tracker_abandoned ? oldest->item : NULL;
    uint64_t unsettled = offset_tracker_unsettled(tracker);
    uint64_t unfinished = (uint64_t)tracker->waiting + tracker->running + tracker->abandoned;
    uint32_t age = item ? clock_milliseconds() - item->received_at : 0;
    bool head = item && (!item_waits(item) || item->queue->first == item); /* the failure is that of the first */
    VALUE row[] = {partition->keyed.key,
                   offset_or_nil(tracker->acknowledged),
                   ULL2NUM(tracker->received),
                   UINT2NUM(tracker->waiting),
                   UINT2NUM(tracker->running),
                   ULL2NUM(unsettled > unfinished ? unsettled - unfinished : 0),
                   oldest ? LL2NUM(oldest->offset) : Qnil,
                   item ? sub_key_of(item->queue)->keyed.key : Qnil,
                   item ? DBL2NUM(age / 1000.0) : Qnil,
                   head ? sub_key_of(item->queue)->failure : Qnil,
                   item ? thread_with(manager, item) : Qnil,
                   ULL2NUM(offset_tracker_finished_here(tracker)),
                   ULL2NUM((uint64_t)tracker->running + partition->again),
                   ULL2NUM(unsettled),
                   offset_or_nil(tracker->highest)};
    return rb_ary_new_from_values(sizeof row / sizeof *row, row);
}

static void forget_count(struct keyed *entry, void *data) {
    (void)data;
    ((struct partition *)entry)->again = 0;
}

static void count_again(struct keyed *entry, void *data) {
    (void)data;
    const struct sub_key_queue *queue = &((struct sub_key *)entry)->queue;
    if (queue->tried && !queue->running) {
        partition_of(queue->first->tracker)->again++;
    }
}

struct rows {
    const struct manager *manager;
    VALUE all;
};

static void add_row(struct keyed *entry, void *data) {
    const struct rows *rows = data;
    rb_ary_push(rows->all, partition_row(rows->manager, (struct partition *)entry));
}

/*
 * call-seq: partition_rows
 *
 * A row for each partition; nothing else happens while they are read.
 */
static VALUE partition_rows(VALUE self) {
    struct rows rows = {.manager = manager_get(self), .all = rb_ary_new()};
    const struct registry *registry = &rows.manager->registry;
    key_table_each(&registry->partitions, forget_count, NULL);
    key_table_each(&registry->sub_keys, count_again, NULL);
    key_table_each(&registry->partitions, add_row, &rows);
    return rows.all;
}

#define HOTTEST 10

struct hottest {
    const struct sub_key *keys[HOTTEST]; /* the hottest first */
    size_t count;
};

static void note_hot(struct keyed *entry, void *data) {
    struct hottest *hottest = data;
    const struct sub_key *sub_key = (struct sub_key *)entry;
    size_t place = hottest->count;
    for (; place > 0 && hottest->keys[place - 1]->queue.waiting < sub_key->queue.waiting; place--) {
        if (place < HOTTEST) {
            hottest->keys[place] = hottest->keys[place - 1];
        }
    }
    if (place < HOTTEST && sub_key->queue.waiting) {
        hottest->keys[place] = sub_key;
        hottest->count += hottest->count < HOTTEST;
    }
}

/*
 * call-seq: hot_key_rows
 *
 * [sub key, how many messages wait on it] of the ten with the most.
 */
static VALUE hot_key_rows(VALUE self) {
    struct hottest hottest = {.count = 0};
    key_table_each(&manager_get(self)->registry.sub_keys, note_hot, &hottest);
    VALUE keys[HOTTEST], counts[HOTTEST]; /* on the stack before anything is made */
    for (size_t i = 0; i < hottest.count; i++) {
        keys[i] = hottest.keys[i]->keyed.key;
        counts[i] = UINT2NUM(hottest.keys[i]->queue.waiting);
    }
    VALUE rows = rb_ary_new();
    for (size_t i = 0; i < hottest.count; i++) {
        rb_ary_push(rows, rb_assoc_new(keys[i], counts[i]));
    }
    return rows;
}

/*
 * call-seq: totals
 *
 * The manager's numbers, in the order in which stats shows them.
 */
static VALUE totals(VALUE self) {
    const struct manager *manager = manager_get(self);
    const struct scheduler *scheduler = &manager->scheduler;
    VALUE values[] = {ULL2NUM(scheduler->total_enqueued), ULL2NUM(scheduler->total_acknowledged),
                      ULL2NUM(manager->total_failed),     ULL2NUM(scheduler->total_refused),
                      ULL2NUM(scheduler->total_dropped),  ULL2NUM(scheduler->in_flight),
                      UINT2NUM(scheduler->waiting),       UINT2NUM(scheduler->running),
                      UINT2NUM(manager->roster.workers),  ULL2NUM(manager->registry.sub_keys.length),
                      UINT2NUM(scheduler->retrying),      ULL2NUM(manager->giving_up),
                      ULL2NUM(scheduler->total_tries)};
    return rb_ary_new_from_values(sizeof values / sizeof *values, values);
}

/*
 * call-seq: durations
 *
 * [[topic or nil, Histogram of the time in queue, Histogram of the time of work], ...]
 */
static VALUE durations(VALUE self) {
    struct manager *manager = manager_get(self);
    const struct list *link;
    list_each(link, &manager->workers.all) {
        attempts_settle(LIST_ENTRY(link, struct worker, link));
    }
    return durations_rows(&manager->durations);
}

/*
 * call-seq: rates
 *
 * [enqueued, attempts] a second, over the last second, minute and 15 minutes.
 */
static VALUE rates(VALUE self) {
    return meters_row(manager_get(self));
}

/*
 * call-seq: rate_history(period)
 *
 * [seconds since its end, enqueued a second, attempts a second] of each period of so many seconds, up to the last 15
 * minutes, the oldest first.
 */
static VALUE rate_history(VALUE self, VALUE period) {
    unsigned seconds = NUM2UINT(period);
    if (seconds < 1 || seconds > METER_SECONDS) {
        rb_raise(rb_eArgError, "period is %u; it must be an Integer from 1 to %u", seconds, METER_SECONDS);
    }
    return meters_history(manager_get(self), seconds);
}

/*
 * call-seq: fatal
 *
 * Why the manager shut down by itself: [:work or :ack, exception or nil, partition, offset]; nil when it did not.
 */
static VALUE fatal(VALUE self) {
    const struct fatal *fatal = &manager_get(self)->fatal;
    if (NIL_P(fatal->callback)) {
        return Qnil;
    }
    return rb_ary_new_from_args(4, fatal->callback, fatal->error, fatal->partition, LL2NUM(fatal->offset));
}

/*
 * call-seq: acknowledger_status
 *
 * What the acknowledger does: "busy", "idle", "resting"; false when it is gone.
 */
static VALUE acknowledger_status(VALUE self) {
    const struct roster *roster = &manager_get(self)->roster;
    switch (roster->acknowledger) {
    case THREAD_COMING:
    case THREAD_BUSY:
        return rb_str_new_cstr("busy");
    case THREAD_PARKED:
        return rb_str_new_cstr(roster->resting ? "resting" : "idle");
    case THREAD_GONE:
        break;
    }
    return Qfalse;
}

void init_stats(VALUE manager_class) {
    rb_define_method(manager_class, "total_enqueued", total_enqueued, 0);
    rb_define_method(manager_class, "total_acked", total_acked, 0);
    rb_define_method(manager_class, "shutting_down?", shutting_down, 0);
    rb_define_alias(manager_class, "shutting_down", "shutting_down?");
    rb_define_private_method(manager_class, "partition_rows", partition_rows, 0);
    rb_define_private_method(manager_class, "hot_key_rows", hot_key_rows, 0);
    rb_define_private_method(manager_class, "totals", totals, 0);
    rb_define_private_method(manager_class, "durations", durations, 0);
    rb_define_private_method(manager_class, "rates", rates, 0);
    rb_define_private_method(manager_class, "rate_history", rate_history, 1);
    rb_define_private_method(manager_class, "fatal", fatal, 0);
    rb_define_private_method(manager_class, "acknowledger_status", acknowledger_status, 0);
}
