/*
 * model - a manager in small, for test_roster.c: the scheduler and the roster as they are, and threads that are no more
 * than what they are going to do next. Every event is a step that in the real thing happens with the GVL held.
 */
#ifndef WORK_SHAPER_SPEC_MODEL_H
#define WORK_SHAPER_SPEC_MODEL_H

#include "core/roster.h"

#include <stdbool.h>
#include <stdint.h>

#define WORKERS 2
#define KEYS 2
#define PARTITIONS 2
#define MESSAGES 3

enum worker_state { ABSENT, STARTED, LOOKING, WORKING, PARKED };

struct model_worker {
    enum worker_state state;
    bool coming;  /* as the roster counts it */
    bool idle;    /* likewise */
    bool woken;   /* parked, and a wake-up is on its way */
    bool deaf;    /* its next wake-up gets lost */
    bool dead;    /* died before it began: only the watchdog can tell */
    bool overdue; /* the watchdog has seen it coming before */
    struct item *item;
};

struct model_acknowledger {
    bool started; /* else woken or parked */
    bool woken, deaf, dead, overdue;
    bool in_ack;
    struct offset_tracker *tracker; /* whose claim `ack` is called with */
};

struct model_timekeeper {
    bool started, woken, deaf, dead, overdue;
};

/* What may still happen from outside. */
struct budget {
    bool transient; /* as a stream is: threads that have nothing to do end after a while, and nothing is tracked */
    unsigned messages, failures, kills, stillbirths, lost, revokes, flushes, drains, shutdowns;
};

struct model {
    struct scheduler scheduler;
    struct roster roster;
    struct sub_key_queue queues[KEYS];
    struct offset_tracker trackers[PARTITIONS];
    struct model_worker workers[WORKERS];
    struct model_acknowledger acknowledger;
    struct model_timekeeper timekeeper;
    uint64_t now;
    struct budget budget;
    bool latest;
    bool flushing, draining, stopping; /* somebody waits in the method */
    uint64_t flush_pass;
    unsigned enqueued, finished, cut_off;
};

/* In the order of the threads that they happen to. */
enum event_kind {
    ENQUEUE,
    WORKER_STEPS, /* a worker does what it does next */
    WORKER_FAILS, /* what it works on is to be tried again */
    WORKER_KILLED,
    WORKER_STILLBORN, /* killed before its entry: nobody is told */
    WORKER_LINGERS,   /* and has done so for long */
    WORKER_DEAF,
    ACKNOWLEDGER_STEPS,
    ACKNOWLEDGER_KILLED,
    ACKNOWLEDGER_STILLBORN,
    ACKNOWLEDGER_DEAF,
    TICK_OVER,
    WATCH, /* the watchdog's time has come */
    TIMEKEEPER_STEPS,
    TIMEKEEPER_KILLED,
    TIMEKEEPER_STILLBORN,
    TIMEKEEPER_LINGERS,
    TIMEKEEPER_DEAF,
    TIME_PASSES, /* until what rests is due */
    NAP,         /* somebody who waits looks by himself */
    REVOKE,
    FLUSH,
    DRAIN,
    SHUT_DOWN,
    EVENT_KINDS
};

struct event {
    enum event_kind kind;
    unsigned number; /* of the worker or partition */
};

void model_init(struct model *model, struct budget budget, bool latest);
void model_destroy(struct model *model);

/* Whether an event can happen now. */
bool model_allows(const struct model *model, struct event event);

void model_happen(struct model *model, struct event event);

/* Whether the event comes from the manager's own threads, and not only after a while. */
bool model_own(struct event event);
bool model_own_timer(struct event event);

#define DIGEST_SIZE 112

/* What distinguishes two states, written into a buffer of DIGEST_SIZE. */
void model_digest(const struct model *model, unsigned char *digest);

#endif
