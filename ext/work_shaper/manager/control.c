#include "control.h"

#include "../errors.h"
#include "../ruby/clock.h"
#include "../ruby/options.h"
#include "dropping.h"
#include "manager.h"
#include "supervisor.h"

void refuse_inside_callback(const struct manager *manager, const char *method) {
    if (manager_inside_callback(manager)) {
        rb_raise(work_shaper_error,
                 "%s inside a callback would wait for itself: use request_shutdown, or another thread", method);
    }
}

/* Flush */

struct flush {
    struct waiter waiter;
    uint64_t pass;
};

static bool pass_over(const struct waiter *waiter) {
    const struct manager *manager = waiter->manager;
    return roster_pass_over(&manager->roster, &manager->scheduler, ((const struct flush *)waiter)->pass);
}

static VALUE wait_for_pass(VALUE holder) {
    waiter_wait(waiter_of(holder));
    return Qnil;
}

/* A Timeout around flush is meant to end an `ack` that hangs. If the wait is over, so is the pass. */
static VALUE leave_pass(VALUE holder) {
    struct waiter *waiter = waiter_of(holder);
    struct manager *manager = waiter->manager;
    waiter_leave(waiter);
    if (!manager_forked(manager) && !pass_over(waiter) &&
        manager->roster.passes_begun >= ((const struct flush *)waiter)->pass) {
        acknowledger_cut_off(manager);
    }
    return Qnil;
}

/*
 * Has everything acknowledged that can be acknowledged now, without waiting for the tick, and returns when that is
 * done. `ack` is called on the acknowledger's thread, as always. When the calling thread is killed or interrupted
 * meanwhile (a Timeout, say), the `ack` that it waits for is cut off: its offset is offered again.
 *
 * @overload flush(safe: true)
 *   @param safe [Boolean] accepted for callers of WorkShaper 0.1.3, but has no effect: flush is always safe
 *   @return [Integer] how many offsets were acknowledged since the call; 0 inside `ack`, where it does not wait
 *   @raise [ForkedProcess] the manager belongs to the parent process
 *   @example
 *     shaper.flush #=> 17
 */
static VALUE flush(int argc, VALUE *argv, VALUE self) {
    struct manager *manager = manager_get(self);
    VALUE options;
    rb_scan_args(argc, argv, "0:", &options);
    keyword_or_nil(options, "safe");
    if (manager->acknowledger.slot.thread == rb_thread_current()) {
        return INT2FIX(0);
    }
    uint64_t before = manager->scheduler.total_acknowledged;
    struct flush flush = {
        .waiter = {.manager = manager, .over = pass_over, .counted = &manager->roster.pass_awaited, .deadline = NEVER},
        .pass = manager->roster.passes_begun + 1};
    VALUE holder = waiter_join(&flush.waiter, sizeof flush);
    rb_ensure(wait_for_pass, holder, leave_pass, holder);
    RB_GC_GUARD(holder);
    return ULL2NUM(manager->scheduler.total_acknowledged - before);
}

/* Revoke */

struct revoke {
    struct waiter waiter;
    uint64_t turn;
};

static bool turn_over(const struct waiter *waiter) {
    const struct acknowledger *acknowledger = &waiter->manager->acknowledger;
    return !acknowledger->partition || acknowledger->turn != ((const struct revoke *)waiter)->turn;
}

static void list_dropped(struct item *item, void *data) {
    if (!item_waits(item)) {
        return;
    }
    VALUE arguments = rb_ary_new_from_args(4, sub_key_of(item->queue)->keyed.key, (VALUE)item->message,
                                           partition_of(item->tracker)->keyed.key, LL2NUM(item->offset));
    rb_ary_push(*(VALUE *)data, rb_assoc_new(ULL2NUM(item->sequence), arguments));
}

/* Takes a partition out of everything. Returns what was dropped. */
static VALUE forget_partition(struct manager *manager, struct partition *partition) {
    VALUE rows = rb_ary_new();
    offset_tracker_each_unfinished(&partition->tracker, list_dropped, &rows);
    registry_revoke(manager, partition);
    dropping_tell(manager);
    return rows;
}

/*
 * call-seq: forget(partition)
 *
 * The native half of revoke. Returns [sequence, arguments of enqueue] for each message that was dropped, in any order.
 */
static VALUE forget(VALUE self, VALUE key) {
    struct manager *manager = manager_get(self);
    const struct acknowledger *acknowledger = &manager->acknowledger;
    struct revoke revoke = {.waiter = {.manager = manager, .over = turn_over, .deadline = NEVER},
                            .turn = acknowledger->turn};
    bool underway = registry_acknowledging(manager, key);
    struct partition *partition = manager_partition(self, key);
    if (partition && acknowledger->partition == partition) {
        revoke.turn = acknowledger->turn;
        underway = true;
    }
    VALUE dropped = partition ? forget_partition(manager, partition) : rb_ary_new();
    if (underway && acknowledger->slot.thread != rb_thread_current()) {
        wait_until_over(&revoke.waiter, sizeof revoke); /* I6: an `ack` that is under way ends before we return */
    }
    return dropped;
}

/* Waiting for one partition */

struct await {
    struct waiter waiter;
    struct partition *partition;
};

static bool nothing_left(const struct offset_tracker *tracker) {
    return !tracker->waiting && !tracker->running;
}

static bool rest_or_failure(const struct waiter *waiter) {
    return nothing_left(&((const struct await *)waiter)->partition->tracker) || !NIL_P(waiter->manager->fatal.callback);
}

static void release_partition(struct waiter *waiter) {
    registry_release_partition(waiter->manager, ((struct await *)waiter)->partition);
}

/* Whether every message of a partition is over, and none was cut off. */
static bool complete(const struct partition *partition) {
    return !partition || (nothing_left(&partition->tracker) && !partition->tracker.abandoned);
}

/*
 * call-seq: at_rest(partition, timeout)
 *
 * The native half of await. Returns whether every message of the partition is over, and none was cut off; false as soon
 * as the manager has failed, or after so many seconds.
 */
static VALUE at_rest(VALUE self, VALUE key, VALUE timeout) {
    struct manager *manager = manager_get(self);
    uint64_t deadline = deadline_after(timeout);
    refuse_inside_callback(manager, "await");
    struct partition *partition = manager_partition(self, key);
    if (!partition) {
        return Qtrue;
    }
    struct await await = {.waiter = {.manager = manager,
                                     .over = rest_or_failure,
                                     .leave = release_partition,
                                     .counted = &partition->awaited,
                                     .deadline = deadline},
                          .partition = partition};
    if (wait_until_over(&await.waiter, sizeof await) != WAIT_OVER) {
        return Qfalse;
    }
    return NIL_P(manager->fatal.callback) || complete(registry_partition(manager, key)) ? Qtrue : Qfalse;
}

/* Shutting down */

/*
 * Asks the manager to wind down and returns at once: no new work is taken, what is enqueued runs, what is finished is
 * acknowledged, then its threads end. Can be called from anywhere, including callbacks and trap handlers. In a forked
 * child it does nothing.
 *
 * @return [nil]
 * @example
 *   trap("TERM") { shaper.request_shutdown }
 */
static VALUE request_shutdown(VALUE self) {
    if (!manager_forked(manager_of(self))) {
        manager_request_shutdown(manager_get(self));
    }
    return Qnil;
}

static bool stopped(const struct waiter *waiter) {
    return manager_stopped(waiter->manager);
}

/*
 * call-seq: wind_down(timeout)
 *
 * The native half of shutdown: requests it and waits until the threads are about to end. Returns whether they are.
 */
static VALUE wind_down(VALUE self, VALUE timeout) {
    struct manager *manager = manager_get(self);
    struct waiter waiter = {.manager = manager,
                            .over = stopped,
                            .counted = &manager->roster.end_awaited,
                            .deadline = deadline_after(timeout)};
    refuse_inside_callback(manager, "shutdown");
    manager_request_shutdown(manager);
    return wait_until_over(&waiter, sizeof waiter) == WAIT_OVER ? Qtrue : Qfalse;
}

/*
 * call-seq: forked?
 *
 * Whether this is a forked child of the process that made the manager.
 */
static VALUE forked(VALUE self) {
    return manager_forked(manager_of(self)) ? Qtrue : Qfalse;
}

/*
 * call-seq: ending
 *
 * The manager's threads that are about to end, or have ended.
 */
static VALUE ending(VALUE self) {
    return rb_ary_dup(manager_get(self)->ending);
}

/*
 * call-seq: concurrency = count
 *
 * Changes how many workers there are at most; those that are too many end when they have finished what they do.
 */
static VALUE set_concurrency(VALUE self, VALUE count) {
    struct manager *manager = manager_get(self);
    struct roster *roster = &manager->roster;
    fairness_set_concurrency(manager, NUM2UINT(count));
    uint32_t surplus = roster->workers > roster->concurrency ? roster->workers - roster->concurrency : 0;
    for (; surplus && roster->idle; surplus--) {
        workers_wake_one(manager); /* to end; those that are busy look by themselves */
    }
    supervise(manager);
    return count;
}

void init_control(VALUE manager_class) {
    rb_define_private_method(manager_class, "concurrency=", set_concurrency, 1);
    rb_define_method(manager_class, "flush", flush, -1);
    rb_define_method(manager_class, "request_shutdown", request_shutdown, 0);
    rb_define_private_method(manager_class, "forget", forget, 1);
    rb_define_private_method(manager_class, "at_rest", at_rest, 2);
    rb_define_private_method(manager_class, "wind_down", wind_down, 1);
    rb_define_private_method(manager_class, "forked?", forked, 0);
    rb_define_private_method(manager_class, "ending", ending, 0);
}
