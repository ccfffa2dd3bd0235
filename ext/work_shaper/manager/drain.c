#include "drain.h"

#include "../ruby/options.h"
#include "control.h"
#include "manager.h"

static bool drain_open(const struct manager *manager) {
    return manager->drains.begun != manager->drains.over;
}

/* All that has been enqueued belongs to it. */
static void begin_checkpoint(struct manager *manager) {
    manager->drains.begun++;
    manager->drains.enqueued = manager->scheduler.total_enqueued;
    registry_mark_received(manager);
}

/* Whether a worker runs what was enqueued before the checkpoint and has been revoked since. */
static bool fenced_runs(const struct manager *manager) {
    const struct list *link;
    list_each(link, &manager->workers.all) {
        const struct item *item = LIST_ENTRY(link, struct worker, link)->item;
        if (item && item->tracker->revoked && item->sequence < manager->drains.enqueued) {
            return true;
        }
    }
    return false;
}

/* What was revoked has no mark any more, but its work and `ack` that are under way must still return. */
static bool at_checkpoint(const struct manager *manager) {
    const struct partition *partition = manager->acknowledger.partition;
    return manager->scheduler.marked == 0 && !(partition && partition->tracker.revoked) && !fenced_runs(manager);
}

bool drains_look(struct manager *manager) {
    struct drains *drains = &manager->drains;
    uint64_t over = drains->over;
    while (drain_open(manager) && at_checkpoint(manager)) {
        drains->over = drains->begun;
        if (drains->next_wanted) {
            drains->next_wanted = false;
            begin_checkpoint(manager);
        }
    }
    return drains->over != over;
}

static void follow_up(struct manager *manager, const struct item *item, struct partition *partition) {
    struct scheduler *scheduler = &manager->scheduler;
    if (item->tracker->revoked && item->sequence < manager->drains.enqueued) {
        scheduler_mark(scheduler, &partition->tracker);
    } else {
        scheduler_follow_up(scheduler, item->tracker, item->offset, &partition->tracker);
    }
}

void drain_follow_up(struct manager *manager, struct partition *partition) {
    if (!drain_open(manager)) {
        return;
    }
    VALUE thread = rb_thread_current();
    const struct worker *worker = workers_find(manager, thread);
    const struct partition *acknowledged = manager->acknowledger.partition;
    if (worker && worker->item) {
        follow_up(manager, worker->item, partition);
    } else if (manager->acknowledger.slot.thread == thread && acknowledged) {
        scheduler_follow_up(&manager->scheduler, &acknowledged->tracker, acknowledged->tracker.claim.offset,
                            &partition->tracker);
    }
}

/* Returns the number of a checkpoint that begins from now on. */
static uint64_t want_checkpoint(struct manager *manager) {
    struct drains *drains = &manager->drains;
    if (drain_open(manager)) {
        drains->next_wanted = true;
        return drains->begun + 1;
    }
    begin_checkpoint(manager);
    return drains->begun;
}

struct drain {
    struct waiter waiter;
    uint64_t checkpoint;
};

static bool reached(const struct drain *drain) {
    return drain->waiter.manager->drains.over >= drain->checkpoint;
}

static bool over(const struct waiter *waiter) {
    return reached((const struct drain *)waiter) || manager_settled(waiter->manager);
}

/*
 * Waits until all that was enqueued before the call is finished and acknowledged, including what its work enqueued
 * itself. It does not wait for what others enqueue meanwhile.
 *
 * @overload drain(timeout: nil)
 *   @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
 *   @return [Boolean] false: the timeout passed, or something can never be acknowledged (see `stats[:fatal]`), or the
 *     process ends
 *   @raise [Error] called inside a callback of the same manager
 *   @raise [ForkedProcess] the manager belongs to the parent process
 *   @raise [TypeError, ArgumentError] the timeout is not a number >= 0
 *   @example
 *     shaper.drain(timeout: 10) or warn "still busy"
 */
static VALUE drain(int argc, VALUE *argv, VALUE self) {
    struct manager *manager = manager_get(self);
    VALUE options;
    rb_scan_args(argc, argv, "0:", &options);
    uint64_t deadline = deadline_after(keyword_or_nil(options, "timeout"));
    refuse_inside_callback(manager, "drain");
    struct drain drain = {
        .waiter = {.manager = manager, .over = over, .counted = &manager->roster.end_awaited, .deadline = deadline},
        .checkpoint = want_checkpoint(manager)};
    drains_look(manager);
    enum wait_end end = wait_until_over(&drain.waiter, sizeof drain);
    return reached(&drain) || (end == WAIT_OVER && manager->scheduler.in_flight == 0) ? Qtrue : Qfalse;
}

void init_drain(VALUE manager_class) {
    rb_define_method(manager_class, "drain", drain, -1);
}
