#include "roster.h"

static bool can_acknowledge(const struct roster *roster, const struct scheduler *scheduler) {
    return !roster->stopped && scheduler_claimable(scheduler);
}

bool roster_settled(const struct roster *roster, const struct scheduler *scheduler) {
    return !scheduler->waiting && !scheduler->running && !roster->acknowledging && !can_acknowledge(roster, scheduler);
}

bool roster_finished(const struct roster *roster, const struct scheduler *scheduler) {
    return roster->closing && roster_settled(roster, scheduler);
}

bool roster_may_go(const struct roster *roster, const struct scheduler *scheduler) {
    return roster->transient && !scheduler->in_flight;
}

bool roster_watch_over(const struct roster *roster, const struct scheduler *scheduler) {
    return roster_finished(roster, scheduler) && roster->timekeeper == THREAD_GONE;
}

bool roster_stopped(const struct roster *roster, const struct scheduler *scheduler) {
    return roster_watch_over(roster, scheduler) && !roster->workers && roster->acknowledger == THREAD_GONE;
}

/* A caller waits for room in flight, and acknowledging makes some. */
static bool blocked(const struct roster *roster, const struct scheduler *scheduler) {
    return roster->room_awaited && scheduler_finished(scheduler) >= scheduler->max_finished;
}

/* Nothing is left to do but acknowledge: in all, or of what a drain waits for. */
static bool winding_down(const struct roster *roster, const struct scheduler *scheduler) {
    if ((roster->closing || roster->end_awaited) && !scheduler->waiting && !scheduler->running) {
        return true;
    }
    return roster->end_awaited && scheduler->marked && !scheduler->marked_unfinished;
}

/* A caller waits for acknowledgements, which should not wait for the tick. */
static bool hurried(const struct roster *roster, const struct scheduler *scheduler) {
    return roster->pass_awaited || blocked(roster, scheduler) || winding_down(roster, scheduler);
}

bool roster_pass_due(const struct roster *roster, const struct scheduler *scheduler) {
    return can_acknowledge(roster, scheduler) && (!roster->resting || hurried(roster, scheduler));
}

enum call roster_worker_call(const struct roster *roster, const struct scheduler *scheduler) {
    if (roster->closing && roster->idle) {
        return CALL_WAKE; /* to work, or to end */
    }
    if (!scheduler_ready(scheduler) || roster->coming) {
        return CALL_NOBODY;
    }
    if (roster->idle) {
        return CALL_WAKE;
    }
    return roster->workers < roster->concurrency ? CALL_START : CALL_NOBODY;
}

/* For an acknowledger that is parked and not needed for a shutdown. The condition that most often decides comes
 * first. */
static bool needed(const struct roster *roster, const struct scheduler *scheduler) {
    if (!roster->watching && (scheduler->in_flight || roster_finished(roster, scheduler))) {
        return true;
    }
    bool awaited = roster->pass_awaited || roster->room_awaited || roster->end_awaited;
    return (!roster->resting || awaited) && roster_pass_due(roster, scheduler);
}

enum call roster_acknowledger_call(const struct roster *roster, const struct scheduler *scheduler) {
    if (roster->acknowledger == THREAD_GONE) {
        bool useless = roster_watch_over(roster, scheduler) || roster_may_go(roster, scheduler);
        return useless ? CALL_NOBODY : CALL_START;
    }
    if (roster->acknowledger != THREAD_PARKED) {
        return CALL_NOBODY;
    }
    if (roster_must_announce(roster) || roster_watch_over(roster, scheduler) ||
        (roster->closing && roster_pass_due(roster, scheduler))) {
        return CALL_WAKE;
    }
    return needed(roster, scheduler) ? CALL_WAKE : CALL_NOBODY;
}

enum call roster_timekeeper_call(const struct roster *roster, const struct scheduler *scheduler) {
    uint64_t next = scheduler_next_time(scheduler);
    if (roster->timekeeper == THREAD_GONE) {
        bool unheard = roster_may_go(roster, scheduler) && !roster->room_awaited;
        return next == SCHEDULER_NEVER || unheard || roster_finished(roster, scheduler) ? CALL_NOBODY : CALL_START;
    }
    if (roster->timekeeper != THREAD_PARKED) {
        return CALL_NOBODY;
    }
    return next < roster->timekeeper_until || roster_finished(roster, scheduler) ? CALL_WAKE : CALL_NOBODY;
}

void roster_begin_pass(struct roster *roster) {
    roster->acknowledging = true;
    roster->passes_begun++;
}

void roster_end_pass(struct roster *roster) {
    roster->acknowledging = false;
    roster->passes_over = roster->passes_begun;
}

void roster_cut_off_pass(struct roster *roster) {
    roster->acknowledging = false;
}

bool roster_pass_over(const struct roster *roster, const struct scheduler *scheduler, uint64_t number) {
    return roster->passes_over >= number || (!roster->acknowledging && !can_acknowledge(roster, scheduler));
}
