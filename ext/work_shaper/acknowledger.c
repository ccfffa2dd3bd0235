#include "acknowledger.h"

#include "caller.h"
#include "clock.h"
#include "registry.h"
#include "thread.h"
#include "worker.h"

/* One pass */

struct pass {
    struct manager *manager;
    uint64_t settled; /* offsets so far */
};

static bool refused(VALUE result) {
    if (RB_SPECIAL_CONST_P(result)) {
        return result == Qfalse;
    }
    return RTEST(rb_obj_is_kind_of(result, rb_eException));
}

static VALUE acknowledged_offset(const struct offset_tracker *tracker) {
    return tracker->acknowledged == OFFSET_NONE ? Qnil : LL2NUM(tracker->acknowledged);
}

static void log_repeated(struct manager *manager, const struct partition *partition, const struct claim *claim) {
    VALUE arguments[4] = {partition->keyed.key, LL2NUM(claim->repeated_offset),
                          acknowledged_offset(&partition->tracker), ULL2NUM(claim->repeated)};
    quietly(manager->self, "log_repeated", 4, arguments);
}

/* Calls `ack` for a claim. Returns whether it was accepted. Runs no Ruby code before: a lower offset could come in
 * (I3). */
static bool acknowledge(struct manager *manager, const struct partition *partition, const struct claim *claim) {
    if (!claim->due) {
        return true;
    }
    VALUE arguments[2] = {partition->keyed.key, LL2NUM(claim->offset)};
    if (!refused(callback_call(&manager->ack, 2, arguments))) {
        return true;
    }
    if (!manager_forked(manager)) {
        quietly(manager->self, "log_refused", 2, arguments);
    }
    return false;
}

/* The partition's turn is over. */
static void end_turn(struct manager *manager) {
    struct partition *partition = manager->baton.partition;
    manager->baton.partition = NULL;
    if (partition->tracker.revoked) {
        registry_release_partition(manager, partition);
        callers_wake(manager, WISH_BATON);
    }
    callers_wake_for_room(manager);
}

/* Under rb_protect: what must survive a raise is in the baton and the tracker. */
static VALUE acknowledge_moved(VALUE argument) {
    struct pass *pass = (struct pass *)argument;
    struct manager *manager = pass->manager;
    struct scheduler *scheduler = &manager->scheduler;
    /* While work goes on there is no end of it: what was in flight at the start is enough for one pass. */
    uint64_t enough = scheduler->in_flight;
    struct offset_tracker *tracker;
    while (pass->settled < enough && (tracker = scheduler_moved(scheduler))) {
        const struct claim *claim = offset_tracker_claim(tracker, manager->acknowledger.latest);
        if (!claim) {
            continue;
        }
        manager->baton.partition = partition_of(tracker);
        manager->baton.turn++;
        bool accepted = acknowledge(manager, manager->baton.partition, claim);
        if (manager_forked(manager)) {
            break;
        }
        if (claim->repeated) {
            log_repeated(manager, manager->baton.partition, claim);
        }
        pass->settled += claim->count;
        scheduler_settle(scheduler, tracker, accepted);
        end_turn(manager);
    }
    return Qnil;
}

static void take_baton(struct manager *manager) {
    manager->baton.thread = rb_thread_current();
    RB_OBJ_WRITTEN(manager->self, Qundef, manager->baton.thread);
}

static void pass_baton_on(struct manager *manager) {
    manager->baton.thread = Qfalse;
    callers_wake(manager, WISH_BATON);
    manager_progress(manager);
}

/* `ack` raised (`fail`: for good), or was cut off: its claim is given back. */
static void give_back(struct manager *manager, bool fail, VALUE error) {
    struct partition *partition = manager->baton.partition;
    if (!partition) {
        return;
    }
    if (fail) {
        manager->acknowledger.stopped = true;
        manager_fail(manager, "ack", error, partition, partition->tracker.claim.offset);
    }
    scheduler_unclaim(&manager->scheduler, &partition->tracker);
    end_turn(manager);
}

/* What came out of `ack` is logged; what is no StandardError goes on. */
static void let_out(struct manager *manager, enum outcome outcome, bool failed, VALUE error, int state) {
    if (failed) {
        rb_set_errinfo(Qnil);
        quietly(manager->self, "log_ack_error", 1, &error);
    }
    if (outcome == RAISED) {
        return;
    }
    if (failed) {
        rb_exc_raise(error);
    }
    rb_jump_tag(state);
}

uint64_t acknowledger_pass(struct manager *manager, bool own_thread) {
    struct pass pass = {.manager = manager};
    int state = 0;
    if (manager->acknowledger.stopped || !manager->scheduler.first_moved) {
        return 0;
    }
    take_baton(manager);
    rb_protect(acknowledge_moved, (VALUE)&pass, &state);
    if (manager_forked(manager)) {
        if (state) {
            rb_jump_tag(state);
        }
        return pass.settled;
    }
    VALUE error = Qnil;
    bool failed = false;
    enum outcome outcome = state ? callback_outcome(&error) : RAISED;
    if (state) {
        failed = outcome == RAISED || (outcome == RAISED_FATAL && own_thread);
        give_back(manager, failed, error);
    }
    pass_baton_on(manager);
    if (state) {
        let_out(manager, outcome, failed, error, state);
    }
    return pass.settled;
}

/* The thread */

/* For how many milliseconds it may wait for the GVL before busy workers give way to it. */
#define PATIENCE 20

/* Whether someone waits for acknowledgements that should not wait for the tick. */
static bool hurried(const struct manager *manager) {
    const struct scheduler *scheduler = &manager->scheduler;
    if (callers_wait_for_flight(manager) && scheduler_finished(scheduler) >= scheduler->max_in_flight / 4) {
        return true;
    }
    return !scheduler->waiting && !scheduler->running && callers_waiting(manager, WISH_SETTLED);
}

void acknowledger_wake(struct manager *manager) {
    struct acknowledger *acknowledger = &manager->acknowledger;
    if (acknowledger->state == ACKNOWLEDGER_IDLE || acknowledger->state == ACKNOWLEDGER_RESTING) {
        acknowledger->state = ACKNOWLEDGER_CALLED;
        acknowledger->called_at = clock_milliseconds();
        parker_unpark(&acknowledger->parker);
    }
}

bool acknowledger_overdue(const struct manager *manager) {
    const struct acknowledger *acknowledger = &manager->acknowledger;
    if (acknowledger->state != ACKNOWLEDGER_CALLED && acknowledger->state != ACKNOWLEDGER_RESTING) {
        return false;
    }
    return (int32_t)(clock_milliseconds() - acknowledger->called_at) > PATIENCE;
}

void acknowledger_call(struct manager *manager) {
    if (!manager->scheduler.first_moved || manager->acknowledger.stopped || manager->baton.thread) {
        return;
    }
    if (manager->acknowledger.state == ACKNOWLEDGER_IDLE ||
        (manager->acknowledger.state == ACKNOWLEDGER_RESTING && hurried(manager))) {
        acknowledger_wake(manager);
    }
}

static uint64_t earlier(uint64_t left, uint64_t right) {
    return left < right ? left : right;
}

/* Parks until there is something to do; no Ruby code may run between the look at the state and this. */
static void rest(struct manager *manager, bool tired, uint64_t next_beat) {
    struct acknowledger *acknowledger = &manager->acknowledger;
    bool resting = tired && !hurried(manager);
    acknowledger->state = resting ? ACKNOWLEDGER_RESTING : ACKNOWLEDGER_IDLE;
    uint64_t tick_over = resting ? clock_nanoseconds() + acknowledger->tick : NEVER;
    acknowledger->called_at = clock_milliseconds() + (uint32_t)(acknowledger->tick / NANOSECONDS_PER_MILLISECOND);
    parker_park(&acknowledger->parker, earlier(tick_over, next_beat));
    acknowledger->state = ACKNOWLEDGER_BUSY;
}

static uint64_t beat_after(const struct manager *manager) {
    return manager->acknowledger.heartbeat ? clock_nanoseconds() + manager->acknowledger.heartbeat : NEVER;
}

static bool must_announce(const struct manager *manager) {
    return manager->closing && !manager->acknowledger.announced;
}

static VALUE acknowledge_loop(VALUE self) {
    struct manager *manager = manager_get(self);
    uint64_t next_beat = beat_after(manager);
    thread_name(rb_str_new_cstr("work_shaper acknowledger"));
    while (!manager_forked(manager)) {
        if (must_announce(manager)) {
            manager->acknowledger.announced = true; /* before: a logger that kills the thread is not to do it twice */
            quietly(self, "log_shutdown", 0, NULL);
        }
        if (clock_nanoseconds() >= next_beat) {
            next_beat = beat_after(manager);
            quietly(self, "beat", 0, NULL);
        }
        worker_call(manager);
        bool tired = !manager->baton.thread && acknowledger_pass(manager, true) > 0;
        if (manager_forked(manager) || must_announce(manager)) {
            continue;
        }
        if (manager->closing && manager_settled(manager)) {
            break;
        }
        bool more = manager->scheduler.first_moved && !manager->baton.thread && !manager->acknowledger.stopped;
        if (!more) {
            if (!manager->scheduler.in_flight) {
                registry_trim(manager);
            }
            rest(manager, tired, next_beat);
        }
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE acknowledge_ended(VALUE self) {
    struct manager *manager = thread_manager(self);
    if (!manager_forked(manager)) {
        manager->acknowledger.state = ACKNOWLEDGER_GONE;
        manager_relieve(manager);
    }
    return Qnil;
}

static VALUE acknowledger_main(void *self) {
    return thread_run((VALUE)self, acknowledge_loop, acknowledge_ended);
}

static VALUE start_thread(VALUE self) {
    return thread_start(self, acknowledger_main);
}

static bool wanted(const struct manager *manager) {
    return manager->acknowledger.state == ACKNOWLEDGER_GONE && !(manager->closing && manager_settled(manager));
}

void acknowledger_start(struct manager *manager) {
    if (!wanted(manager)) {
        return;
    }
    rb_thread_check_ints(); /* see thread_start */
    if (!wanted(manager)) {
        return;
    }
    int state;
    manager->acknowledger.state = ACKNOWLEDGER_BUSY;
    rb_protect(start_thread, manager->self, &state);
    if (state) {
        manager->acknowledger.state = ACKNOWLEDGER_GONE;
        rb_jump_tag(state);
    }
}
