#include "pass.h"

#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "manager.h"
#include "supervisor.h"

struct pass {
    struct manager *manager;
    uint64_t settled;   /* offsets so far */
    uint32_t looked_at; /* when the watchdog had its last look, in clock_milliseconds */
};

/* A pass may take long, and the acknowledger is the watchdog. */
static void look_now_and_then(struct pass *pass) {
    uint32_t now = clock_milliseconds();
    if (now - pass->looked_at >= WATCH_PERIOD / NANOSECONDS_PER_MILLISECOND) {
        pass->looked_at = now;
        supervisor_look(pass->manager);
        stuck_look(pass->manager);
    }
}

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

/* Calls `ack` for a claim. Returns whether it was accepted. Runs no Ruby code before that call: a lower offset could
 * come in (I3). */
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
    struct partition *partition = manager->acknowledger.partition;
    manager->acknowledger.partition = NULL;
    if (partition->tracker.revoked) {
        registry_release_partition(manager, partition);
        drains_look(manager);
        waiters_look(manager);
    }
    if (!list_empty(&manager->room.flight_line)) {
        room_look(manager);
    }
}

/* Returns false in a forked child. */
static bool acknowledge_one(struct pass *pass, struct offset_tracker *tracker) {
    struct manager *manager = pass->manager;
    const struct claim *claim = offset_tracker_claim(tracker);
    if (!claim) {
        return true;
    }
    struct partition *partition = partition_of(tracker);
    manager->acknowledger.partition = partition;
    manager->acknowledger.turn++;
    bool accepted = acknowledge(manager, partition, claim);
    if (manager_forked(manager)) {
        return false;
    }
    if (claim->repeated) {
        log_repeated(manager, partition, claim);
    }
    pass->settled += claim->count;
    scheduler_settle(&manager->scheduler, tracker, accepted);
    end_turn(manager);
    look_now_and_then(pass);
    return true;
}

/* A shutdown must be logged soon; and when the process ends, so must this thread. */
static bool must_break_off(const struct manager *manager) {
    return roster_must_announce(&manager->roster) || process_ends();
}

/* Under rb_protect: what must survive a raise is in the acknowledger and the tracker. */
static VALUE acknowledge_all(VALUE argument) {
    struct pass *pass = (struct pass *)argument;
    struct manager *manager = pass->manager;
    struct scheduler *scheduler = &manager->scheduler;
    /* While work continues, there would be no end to it: what was in flight at the start is enough for one pass. */
    uint64_t enough = scheduler->in_flight;
    do {
        scheduler_begin_pass(scheduler);
        struct offset_tracker *tracker;
        while ((tracker = scheduler_next_in_pass(scheduler))) {
            if (!acknowledge_one(pass, tracker) || must_break_off(manager)) {
                return Qnil;
            }
        }
    } while (!manager->acknowledger.latest && pass->settled < enough && scheduler_claimable(scheduler));
    return Qnil;
}

/* `ack` raised (`failed`: it is not called again), or was cut off: its claim is given back. */
static void give_back(struct manager *manager, bool failed, VALUE error) {
    struct partition *partition = manager->acknowledger.partition;
    if (!partition) {
        return;
    }
    if (failed) {
        manager->roster.stopped = true;
        manager_fail(manager, "ack", error, partition, partition->tracker.claim.offset);
    }
    scheduler_unclaim(&manager->scheduler, &partition->tracker);
    end_turn(manager);
}

/* The pass was cut off. What came out of `ack` is logged; if it is fatal, and the main thread has not got it, it then
 * propagates. */
static void recover(struct manager *manager, int state) {
    VALUE error;
    enum outcome outcome = callback_outcome(&state, &error);
    bool exits = process_exit(error); /* first: who waits is woken when it is given back */
    give_back(manager, outcome != CUT_OFF, error);
    roster_cut_off_pass(&manager->roster);
    if (outcome == CUT_OFF) { /* C only up to here, since the kill must propagate; the thread's end tells the others */
        rb_jump_tag(state);
    }
    rb_set_errinfo(Qnil);
    manager_progress(manager);
    quietly(manager->self, "log_ack_error", 1, &error);
    if (outcome == RAISED_FATAL && !exits) {
        rb_exc_raise(error);
    }
}

uint64_t acknowledge_pass(struct manager *manager) {
    struct pass pass = {.manager = manager, .looked_at = clock_milliseconds()};
    int state = 0;
    roster_begin_pass(&manager->roster);
    rb_protect(acknowledge_all, (VALUE)&pass, &state);
    if (manager_forked(manager)) {
        if (state) {
            rb_jump_tag(state);
        }
        return pass.settled;
    }
    if (state) {
        recover(manager, state);
        return pass.settled;
    }
    if (must_break_off(manager)) {
        roster_cut_off_pass(&manager->roster);
    } else {
        roster_end_pass(&manager->roster);
    }
    drains_look(manager);
    waiters_look(manager);
    supervise(manager);
    return pass.settled;
}
