#include "acknowledger.h"

#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "manager.h"
#include "pass.h"
#include "supervisor.h"

void acknowledger_init(struct manager *manager) {
    thread_slot_init(&manager->acknowledger.slot, &manager->roster.acknowledger);
}

void acknowledger_wake(struct manager *manager) {
    if (thread_slot_wake(&manager->acknowledger.slot)) {
        manager->acknowledger.due_at = clock_milliseconds();
    }
}

void acknowledger_wake_again(struct manager *manager) {
    if (!thread_slot_wake_again(&manager->acknowledger.slot)) {
        roster_cut_off_pass(&manager->roster);
    }
}

void acknowledger_look(struct manager *manager) {
    if (!thread_slot_look(&manager->acknowledger.slot)) {
        roster_cut_off_pass(&manager->roster);
    }
}

void acknowledger_cut_off(struct manager *manager) {
    if (manager->acknowledger.partition) {
        rb_thread_kill(manager->acknowledger.slot.thread);
    }
}

/* Once a tick */

static void tick(struct manager *manager) {
    uint32_t now = clock_milliseconds();
    if ((now - manager->acknowledger.ticked_at) * NANOSECONDS_PER_MILLISECOND >= manager->acknowledger.tick) {
        manager->acknowledger.ticked_at = now; /* first: others may come here meanwhile */
        meters_note(manager);
        attempts_ask(manager);
    }
}

void acknowledger_stand_in(struct manager *manager) {
    if (!manager->scheduler.in_flight) {
        tick(manager);
    }
}

/* Parking */

static uint64_t earlier(uint64_t left, uint64_t right) {
    return left < right ? left : right;
}

/* Notes whether its tick is over, and whether it has to watch. */
static void look_at_clock(struct manager *manager) {
    struct acknowledger *acknowledger = &manager->acknowledger;
    uint64_t now = clock_nanoseconds();
    manager->roster.resting = now < acknowledger->rest_until;
    if (manager->scheduler.in_flight || roster_finished(&manager->roster, &manager->scheduler)) {
        /* It keeps watching for a while afterwards: messages that come one by one need not each wake it. */
        acknowledger->watch_until = now + WATCH_PERIOD;
    }
    manager->roster.watching = now < acknowledger->watch_until;
}

/* Until when to park. */
static uint64_t deadline(const struct manager *manager, uint64_t next_beat) {
    const struct roster *roster = &manager->roster;
    uint64_t deadline = next_beat;
    if (roster->watching) {
        deadline = earlier(deadline, manager->acknowledger.watch_until);
        if (roster->resting) {
            deadline = earlier(deadline, manager->acknowledger.rest_until);
        }
    }
    return deadline;
}

/* Parks until there is something to do; no Ruby code may run between the look at the state and this. */
static void park(struct manager *manager, uint64_t next_beat) {
    struct acknowledger *acknowledger = &manager->acknowledger;
    uint64_t until = deadline(manager, next_beat);
    acknowledger->due_at =
        until == NEVER ? clock_milliseconds() + INT32_MAX : (uint32_t)(until / NANOSECONDS_PER_MILLISECOND);
    thread_slot_park(&acknowledger->slot, until);
}

/* The thread */

static uint64_t beat_after(const struct manager *manager) {
    return manager->acknowledger.heartbeat ? clock_nanoseconds() + manager->acknowledger.heartbeat : NEVER;
}

/* Once it shuts down, what is finished is acknowledged soon: the process may end at a timeout. */
#define LONGEST_TICK_AT_SHUTDOWN (10 * NANOSECONDS_PER_MILLISECOND)

static void hasten(struct manager *manager) {
    struct acknowledger *acknowledger = &manager->acknowledger;
    acknowledger->tick = earlier(acknowledger->tick, LONGEST_TICK_AT_SHUTDOWN);
    acknowledger->rest_until = 0;
}

/* Logs the shutdown and the heartbeat, when they are due. Returns when the next heartbeat is due. */
static uint64_t speak(struct manager *manager, uint64_t next_beat) {
    if (roster_must_announce(&manager->roster)) {
        manager->roster.announced = true; /* first: a logger that kills the thread must not do it twice */
        hasten(manager);
        quietly(manager->self, "log_shutdown", 0, NULL);
    }
    if (clock_nanoseconds() < next_beat) {
        return next_beat;
    }
    next_beat = beat_after(manager);
    quietly(manager->self, "beat", 0, NULL);
    return next_beat;
}

static VALUE acknowledge_loop(VALUE self) {
    struct manager *manager = manager_get(self);
    uint64_t next_beat = beat_after(manager);
    thread_slot_set_state(&manager->acknowledger.slot, THREAD_BUSY);
    thread_name(rb_str_new_cstr("work_shaper acknowledger"));
    thread_belongs_to("work_shaper_manager", self);
    while (!manager_forked(manager)) {
        next_beat = speak(manager, next_beat);
        supervisor_look(manager);
        stuck_look(manager);
        tick(manager);
        look_at_clock(manager);
        if (process_ends()) { /* asked behind all Ruby code, for an `ensure` in there can raise in place of the kill */
            break;
        }
        if (roster_pass_due(&manager->roster, &manager->scheduler)) {
            if (acknowledge_pass(manager) > 0) {
                manager->acknowledger.rest_until = clock_nanoseconds() + manager->acknowledger.tick;
            }
            continue;
        }
        if (roster_must_announce(&manager->roster)) {
            continue;
        }
        if (roster_watch_over(&manager->roster, &manager->scheduler)) {
            break;
        }
        if (!manager->roster.watching && roster_may_go(&manager->roster, &manager->scheduler)) {
            break;
        }
        if (!manager->scheduler.in_flight) {
            registry_trim(manager);
        }
        park(manager, next_beat);
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE acknowledge_ended(VALUE self) {
    struct manager *manager = manager_of(self);
    if (!manager_forked(manager)) {
        thread_slot_leave(&manager->acknowledger.slot);
        roster_cut_off_pass(&manager->roster);
        manager_thread_ends(manager);
    }
    return Qnil;
}

static VALUE acknowledger_main(void *self) {
    return thread_run((VALUE)self, acknowledge_loop, acknowledge_ended);
}

void acknowledger_start(struct manager *manager) {
    manager->acknowledger.due_at = clock_milliseconds();
    thread_slot_start(&manager->acknowledger.slot, manager->self, acknowledger_main);
}

static VALUE start(VALUE self) {
    acknowledger_start(manager_of(self));
    return Qnil;
}

void acknowledger_try_to_start(struct manager *manager) {
    try_call(start, manager->self);
}
