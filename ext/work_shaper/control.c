/*
 * control - what a caller does with a manager besides enqueueing: flush, drain, revoke, shut down.
 */
#include "acknowledger.h"
#include "caller.h"
#include "clock.h"
#include "manager.h"
#include "options.h"
#include "registry.h"
#include "worker.h"

static void refuse_inside_callback(const struct manager *manager, const char *method) {
    if (manager_inside_callback(manager)) {
        rb_raise(work_shaper_error,
                 "%s inside a callback would wait for itself: use request_shutdown, or another thread", method);
    }
}

/*
 * Acknowledges now, on the calling thread, what can be acknowledged.
 *
 * @overload flush(safe: true)
 *   @param safe [Boolean] accepted for callers of WorkShaper 0.1.3, without effect: it is always safe
 *   @return [Integer] how many offsets this call acknowledged; 0 inside `ack` itself
 *   @raise [ForkedProcess] the manager belongs to the parent process
 *   @example
 *     shaper.flush #=> 17
 */
static VALUE flush(int argc, VALUE *argv, VALUE self) {
    struct manager *manager = manager_get(self);
    VALUE options;
    rb_scan_args(argc, argv, "0:", &options);
    keyword_or_nil(options, "safe");
    if (manager->baton.thread == rb_thread_current()) {
        return INT2FIX(0);
    }
    while (manager->baton.thread) {
        caller_wait(manager, WISH_BATON, NULL, NEVER);
    }
    return ULL2NUM(acknowledger_pass(manager, false));
}

/*
 * Waits until all that was enqueued is finished and acknowledged.
 *
 * @overload drain(timeout: nil)
 *   @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
 *   @return [Boolean] false: the timeout passed, or something can never be acknowledged (see `stats[:fatal]`)
 *   @raise [Error] inside a callback of the same manager
 *   @raise [ForkedProcess] the manager belongs to the parent process
 *   @raise [TypeError, ArgumentError] the timeout is none
 *   @example
 *     shaper.drain(timeout: 10) or warn "still busy"
 */
static VALUE drain(int argc, VALUE *argv, VALUE self) {
    struct manager *manager = manager_get(self);
    VALUE options;
    rb_scan_args(argc, argv, "0:", &options);
    uint64_t deadline = deadline_after(keyword_or_nil(options, "timeout"));
    refuse_inside_callback(manager, "drain");
    while (!manager_settled(manager)) {
        manager_staff(manager);
        if (manager_settled(manager) || !caller_wait(manager, WISH_SETTLED, NULL, deadline)) {
            break;
        }
    }
    return manager_settled(manager) && manager->scheduler.in_flight == 0 ? Qtrue : Qfalse;
}

struct dropped {
    const struct offset_tracker *tracker;
    VALUE rows; /* Array of [sequence, arguments of enqueue] */
};

static void collect_dropped(struct keyed *entry, void *data) {
    const struct dropped *dropped = data;
    const struct sub_key *sub_key = (struct sub_key *)entry;
    for (const struct item *item = sub_key->queue.first; item; item = item->next) {
        if (item->tracker == dropped->tracker) {
            VALUE arguments = rb_ary_new_from_args(4, entry->key, (VALUE)item->message,
                                                   partition_of(item->tracker)->keyed.key, LL2NUM(item->offset));
            rb_ary_push(dropped->rows, rb_assoc_new(ULL2NUM(item->sequence), arguments));
        }
    }
}

/* Takes a partition out of everything. Returns what was dropped. */
static VALUE forget_partition(struct manager *manager, struct partition *partition) {
    struct dropped dropped = {.tracker = &partition->tracker, .rows = rb_ary_new()};
    scheduler_queue_up(&manager->scheduler);
    key_table_each(&manager->sub_keys, collect_dropped, &dropped);
    registry_revoke(manager, partition);
    manager_progress(manager);
    callers_wake_for_room(manager);
    return dropped.rows;
}

/*
 * call-seq: forget(partition)
 *
 * The native half of revoke. Returns [sequence, arguments of enqueue] for each message that was dropped, in any order.
 */
static VALUE forget(VALUE self, VALUE key) {
    struct manager *manager = manager_get(self);
    uint64_t turn = manager->baton.turn;
    bool underway = registry_acknowledging(manager, key);
    struct partition *partition = registry_partition(manager, key);
    manager_get(self); /* the key's #eql? may have forked */
    if (partition && manager->baton.partition == partition) {
        turn = manager->baton.turn;
        underway = true;
    }
    VALUE dropped = partition ? forget_partition(manager, partition) : rb_ary_new();
    bool own = manager->baton.thread == rb_thread_current();
    while (underway && !own && manager->baton.partition && manager->baton.turn == turn) {
        caller_wait(manager, WISH_BATON, NULL, NEVER); /* I6: an `ack` that is under way ends before we return */
    }
    return dropped;
}

struct drop {
    struct manager *manager;
    uint64_t count;
};

/* Returns whether the sub key is idle, and freed, thereby. */
static bool drop_from(struct keyed *entry, void *data) {
    struct drop *drop = data;
    struct sub_key *sub_key = (struct sub_key *)entry;
    drop->count += scheduler_drop_waiting(&drop->manager->scheduler, &sub_key->queue);
    if (!sub_key_queue_idle(&sub_key->queue)) {
        return false;
    }
    pool_release(&drop->manager->sub_key_pool, sub_key);
    return true;
}

/*
 * call-seq: drop_waiting
 *
 * For a consumer that stops, once nothing more comes in: drops all that waits, of every partition, and leaves alone
 * what runs. What was dropped is never acknowledged, nor is anything above it, and counts as in flight until its
 * partition is revoked; what is finished below is acknowledged. Returns how many messages were dropped.
 */
static VALUE drop_waiting(VALUE self) {
    struct drop drop = {.manager = manager_get(self)};
    key_table_reject(&drop.manager->sub_keys, drop_from, &drop);
    manager_progress(drop.manager);
    callers_wake_for_room(drop.manager);
    return ULL2NUM(drop.count);
}

/*
 * Asks the manager to wind down and returns at once: no new work is taken, what is enqueued runs, what is finished is
 * acknowledged, then its threads end. Can be called from anywhere, callbacks and trap handlers included.
 *
 * @return [nil]
 * @raise [ForkedProcess] the manager belongs to the parent process
 * @example
 *   trap("TERM") { shaper.request_shutdown }
 */
static VALUE request_shutdown(VALUE self) {
    manager_request_shutdown(manager_get(self));
    return Qnil;
}

/*
 * call-seq: wind_down(timeout)
 *
 * The native half of shutdown: requests it and waits until the threads are about to end. Returns whether they are.
 */
static VALUE wind_down(VALUE self, VALUE timeout) {
    struct manager *manager = manager_get(self);
    uint64_t deadline = deadline_after(timeout);
    refuse_inside_callback(manager, "shutdown");
    manager_request_shutdown(manager);
    while (!manager_stopped(manager)) {
        manager_staff(manager);
        if (manager_stopped(manager) || !caller_wait(manager, WISH_SETTLED, NULL, deadline)) {
            break;
        }
    }
    return manager_stopped(manager) ? Qtrue : Qfalse;
}

void init_control(VALUE manager_class) {
    rb_define_method(manager_class, "flush", flush, -1);
    rb_define_method(manager_class, "drain", drain, -1);
    rb_define_method(manager_class, "request_shutdown", request_shutdown, 0);
    rb_define_private_method(manager_class, "forget", forget, 1);
    rb_define_private_method(manager_class, "drop_waiting", drop_waiting, 0);
    rb_define_private_method(manager_class, "wind_down", wind_down, 1);
}
