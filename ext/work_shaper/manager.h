/*
 * manager - the native half of WorkShaper::Manager.
 *
 * The GVL guards all of it: every VALUE and every change of state. Between two calls that may run Ruby code
 * (callbacks, a key's #hash and #eql?, thread creation, logging) a function has the state for itself; after
 * such a call it must look again. No code of ours runs without the GVL: threads sleep in Ruby's own sleep (parker.c).
 */
#ifndef WORK_SHAPER_MANAGER_H
#define WORK_SHAPER_MANAGER_H

#include "callback.h"
#include "core/scheduler.h"
#include "key_table.h"
#include "parker.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

/* A sub key that has something waiting or running. */
struct sub_key {
    struct keyed keyed;
    struct sub_key_queue queue;
};

/* A partition in one assignment. Once revoked it is in no table and lives on until nothing of it runs. */
struct partition {
    struct keyed keyed;
    struct offset_tracker tracker;
};

enum acknowledger_state {
    ACKNOWLEDGER_GONE,
    ACKNOWLEDGER_BUSY,
    ACKNOWLEDGER_IDLE,    /* parked until there is something to acknowledge */
    ACKNOWLEDGER_RESTING, /* parked until the tick is over */
    ACKNOWLEDGER_CALLED   /* woken, and not yet there */
};

struct acknowledger {
    enum acknowledger_state state;
    struct parker parker;
    uint32_t called_at; /* when it was woken, or its rest is over, in clock_milliseconds */
    uint64_t tick;      /* nanoseconds between two passes */
    uint64_t heartbeat; /* nanoseconds between two reports, or 0 */
    bool latest;        /* acknowledge only the highest safe offset of each partition */
    bool announced;     /* the shutdown is in the log */
    bool stopped;       /* `ack` raised: nothing is acknowledged any more */
};

/* A thread that feeds the manager and waits without the GVL: busy workers give way to it when it wants to be back. */
struct guest {
    bool expected;
    uint32_t back_at; /* in clock_milliseconds */
};

/* How long the average of `concurrency` workers lacked work, in nanoseconds. */
struct idleness {
    uint32_t busy;   /* workers that do not lack work now */
    uint64_t since;  /* when that number changed */
    uint64_t before; /* the time up to then */
};

/* Who acknowledges right now: the acknowledger or a caller of flush; and what. */
struct baton {
    VALUE thread;                /* Qfalse: nobody */
    struct partition *partition; /* NULL: between two claims */
    uint64_t turn;               /* which claim */
};

/* Why the manager shut down by itself. */
struct fatal {
    VALUE place;     /* :work or :ack; nil: it did not */
    VALUE error;     /* the exception; nil: the thread was killed */
    VALUE partition; /* of the offset */
    int64_t offset;
};

struct worker;
struct caller;

struct manager {
    VALUE self;
    bool set_up;
    bool closing;
    unsigned long fork_generation; /* of the process that made it */

    struct scheduler scheduler;
    struct pool sub_key_pool;
    size_t slabs_trimmed; /* how many slabs the pools had given back when registry_trim last ran */
    struct key_table sub_keys;
    struct key_table partitions;

    struct callback work, on_done, on_error, ack;
    struct acknowledger acknowledger;
    struct baton baton;
    struct guest guest;
    struct fatal fatal;
    uint64_t total_failed;

    struct worker *workers;      /* all that were started and are not gone */
    struct worker *idle_workers; /* those of them that are parked, the latest first */
    struct idleness idleness;
    uint32_t worker_count;
    uint32_t workers_coming;  /* called or started, and not yet arrived */
    uint32_t workers_passing; /* that let others have the GVL, and will go on */
    uint32_t workers_named;   /* how many were ever started */
    uint32_t concurrency;
    VALUE threads; /* Array: every thread that was started and may be alive */

    struct caller *callers;     /* threads that wait in one of our methods, in the order in which they came */
    struct caller *last_caller; /* the end of that list */
    uint32_t callers_for_room;  /* how many of them wait for room, feeders too */
};

/*
 * manager_get - The manager behind a Ruby object. Raises Error when it was never set up, ForkedProcess in a forked
 * child.
 */
struct manager *manager_get(VALUE self);

/*
 * manager_forked - Whether this process is a forked child of the manager's: it must not touch parkers or lists.
 */
bool manager_forked(const struct manager *manager);

/*
 * manager_settled - Whether nothing waits, runs, or can be acknowledged.
 */
bool manager_settled(const struct manager *manager);

/*
 * manager_stopped - Whether it has shut down and its threads are gone.
 */
bool manager_stopped(const struct manager *manager);

/*
 * manager_request_shutdown - Refuses new work from now on and wakes everyone, who then wind down. Never waits or
 * raises.
 */
void manager_request_shutdown(struct manager *manager);

/*
 * manager_fail - Notes why, if nothing was noted before, and requests the shutdown.
 */
void manager_fail(struct manager *manager, const char *place, VALUE error, const struct partition *partition,
                  int64_t offset);

/*
 * manager_progress - Something was finished, abandoned or settled: tells those who wait for it.
 * Starts nothing.
 */
void manager_progress(struct manager *manager);

/*
 * manager_staff - Starts or wakes the threads that the state asks for. Raises ThreadError.
 */
void manager_staff(struct manager *manager);

/*
 * manager_relieve - A thread that may have been counted on goes: starts what the state asks for, and wakes whoever
 * waits. For a thread that is dying; raises nothing. At process exit it starts nothing: a thread started then would
 * never be told to die.
 */
void manager_relieve(struct manager *manager);

/*
 * manager_inside_callback - Whether the current thread is inside one of the manager's callbacks.
 */
bool manager_inside_callback(const struct manager *manager);

extern VALUE work_shaper_error, work_shaper_shutting_down, work_shaper_full, work_shaper_forked_process;

/* Defines the class and its methods; each file its own. */
void init_manager(VALUE work_shaper);
void init_door(VALUE manager_class);
void init_control(VALUE manager_class);
void init_inspection(VALUE manager_class);

#endif
