#include "supervisor.h"

#include "../ruby/clock.h"
#include "manager.h"

static void supervise_acknowledger(struct manager *manager) {
    switch (roster_acknowledger_call(&manager->roster, &manager->scheduler)) {
    case CALL_WAKE:
        acknowledger_wake(manager);
        break;
    case CALL_START:
        acknowledger_try_to_start(manager);
        break;
    case CALL_NOBODY:
        break;
    }
}

static void supervise_timekeeper(struct manager *manager) {
    switch (roster_timekeeper_call(&manager->roster, &manager->scheduler)) {
    case CALL_WAKE:
        thread_slot_wake(&manager->timekeeper);
        break;
    case CALL_START:
        timekeeper_try_to_start(manager);
        break;
    case CALL_NOBODY:
        break;
    }
}

static void supervise_workers(struct manager *manager) {
    bool called = true;
    while (called) {
        switch (roster_worker_call(&manager->roster, &manager->scheduler)) {
        case CALL_WAKE:
            workers_wake_one(manager);
            break;
        case CALL_START:
            called = workers_start_one(manager);
            break;
        case CALL_NOBODY:
            called = false;
            break;
        }
    }
}

/* Called with every message, so the rule is not asked where it would say at once that no thread is needed. */
void supervise(struct manager *manager) {
    const struct roster *roster = &manager->roster;
    if (roster->acknowledger == THREAD_PARKED || roster->acknowledger == THREAD_GONE) {
        supervise_acknowledger(manager);
    }
    if (roster->closing || (scheduler_ready(&manager->scheduler) && !roster->coming)) {
        supervise_workers(manager);
    }
    if (roster->closing || scheduler_next_time(&manager->scheduler) != SCHEDULER_NEVER) {
        supervise_timekeeper(manager);
    }
}

void supervisor_look(struct manager *manager) {
    acknowledger_look(manager);
    thread_slot_look(&manager->timekeeper);
    workers_look(manager);
    supervise(manager);
    drains_look(manager);
    waiters_look(manager);
}

uint64_t supervisor_nap(const struct manager *manager) {
    const struct roster *roster = &manager->roster;
    if (!roster->closing && roster_may_go(roster, &manager->scheduler)) {
        return NEVER; /* nothing can be missed but the end of a thread that died before it began */
    }
    bool parked = roster->acknowledger == THREAD_PARKED && (roster->watching || !manager->scheduler.in_flight);
    bool looking = roster->acknowledger == THREAD_BUSY && !roster->acknowledging;
    return parked || looking ? NEVER : clock_nanoseconds() + WATCH_PERIOD;
}

/* Long enough for the next burst, short enough for a process that has done with it. */
#define LINGER (500 * NANOSECONDS_PER_MILLISECOND)

uint64_t supervisor_linger(const struct manager *manager) {
    return manager->roster.transient ? clock_nanoseconds() + LINGER : NEVER;
}
