/*
 * roster - who must run: the one rule, worked out from the state alone.
 *
 * Nothing depends on who changed what. After every change the caller asks the three questions roster_..._call, does
 * what they say and asks again, until the answer is CALL_NOBODY. So asking too often does no harm, and when a question
 * was missed, the acknowledger makes up for it: it asks by itself while anything is in flight.
 *
 * What must never happen, and what spec/core/test_roster.c looks for in every order of events: something can proceed,
 * and no thread is on the way.
 */
#ifndef WORK_SHAPER_CORE_ROSTER_H
#define WORK_SHAPER_CORE_ROSTER_H

#include "scheduler.h"

#include <stdbool.h>
#include <stdint.h>

/* Of a thread that there is once at most. */
enum thread_state {
    THREAD_GONE,   /* not started, or ended */
    THREAD_COMING, /* started or woken, and not there yet */
    THREAD_BUSY,   /* there: it looks at the state, or does its work */
    THREAD_PARKED
};

struct roster {
    uint32_t concurrency; /* workers at most */
    uint32_t workers;     /* started and not ended */
    uint32_t idle;        /* those of them that are parked */
    uint32_t coming;      /* those of them that are going to look for work: started, woken, or between two messages */
    enum thread_state acknowledger;
    enum thread_state timekeeper;
    uint64_t timekeeper_until; /* until when it is parked, in the scheduler's nanoseconds; or SCHEDULER_NEVER */
    bool resting;              /* parked: its tick is not over */
    bool watching;             /* parked: it looks again by itself, soon */
    bool stopped;              /* `ack` raised: nothing is acknowledged any more */
    bool closing;              /* no new work is taken */
    bool transient;            /* its threads end when nothing has been in flight for a while, and come again */
    bool announced;            /* the acknowledger has logged that */
    uint32_t pass_awaited;     /* how many wait until a pass is over */
    uint32_t end_awaited;      /* how many wait until everything is finished and acknowledged */
    uint32_t room_awaited;     /* how many wait until fewer are in flight; of a stream, for room or a result */
    bool acknowledging;        /* a pass is under way */
    uint64_t passes_begun;
    uint64_t passes_over; /* the last one that was completed, not cut off */
};

enum call {
    CALL_NOBODY, /* every thread that is needed is there or on the way */
    CALL_WAKE,
    CALL_START
};

/*
 * roster_worker_call - Whether a worker must be woken or started. Workers are called one at a time: one that arrives
 * and finds more than it can do calls the next, so that work too short to be worth a second thread does not get one.
 */
enum call roster_worker_call(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_acknowledger_call - Whether the acknowledger must be woken or started.
 */
enum call roster_acknowledger_call(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_timekeeper_call - Whether the timekeeper must be woken or started: it sleeps until the scheduler's next time.
 */
enum call roster_timekeeper_call(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_pass_due - Whether the acknowledger has something to acknowledge, and need not wait for its tick.
 */
bool roster_pass_due(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_must_announce - Whether the manager is closing and the acknowledger has not logged it yet.
 */
static inline bool roster_must_announce(const struct roster *roster) {
    return roster->closing && !roster->announced;
}

/*
 * roster_may_go - Whether a thread of a transient roster may end, after a while, since there is nothing to do.
 */
bool roster_may_go(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_settled - Whether nothing waits, runs, or can be acknowledged.
 */
bool roster_settled(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_finished - Whether there will never be anything to do again: workers and the timekeeper may end.
 */
bool roster_finished(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_watch_over - Whether the acknowledger may end, too: the timekeeper has, so there is nobody to be woken again.
 */
bool roster_watch_over(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_stopped - Whether the manager is closing and all its threads are gone.
 */
bool roster_stopped(const struct roster *roster, const struct scheduler *scheduler);

/*
 * roster_begin_pass, roster_end_pass - The acknowledger begins or ends a pass.
 */
void roster_begin_pass(struct roster *roster);
void roster_end_pass(struct roster *roster);

/*
 * roster_cut_off_pass - The pass, if there is one, was cut off half-way.
 */
void roster_cut_off_pass(struct roster *roster);

/*
 * roster_pass_over - Whether a pass of that number or a later one is over, or there is nothing to acknowledge.
 */
bool roster_pass_over(const struct roster *roster, const struct scheduler *scheduler, uint64_t number);

#endif
