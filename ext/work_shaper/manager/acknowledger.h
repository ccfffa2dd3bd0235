/*
 * acknowledger - the thread that calls `ack` for what the trackers release, in passes; no other thread does. It is also
 * the watchdog: see supervisor.h.
 */
#ifndef WORK_SHAPER_MANAGER_ACKNOWLEDGER_H
#define WORK_SHAPER_MANAGER_ACKNOWLEDGER_H

#include "thread_slot.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct partition;

/* Whether it is there, and what it is doing, is in the roster. */
struct acknowledger {
    struct thread_slot slot;
    bool latest;                 /* acknowledge only the highest safe offset of each partition */
    uint64_t tick;               /* nanoseconds between two passes at least */
    uint64_t heartbeat;          /* nanoseconds between two reports, or 0 */
    uint64_t rest_until;         /* the end of its tick, in clock_nanoseconds */
    uint64_t watch_until;        /* until when it watches, even with nothing in flight, in clock_nanoseconds */
    uint32_t ticked_at;          /* when it last did what it does once a tick, in clock_milliseconds */
    uint32_t due_at;             /* when it wants to run again, in clock_milliseconds */
    struct partition *partition; /* whose offset `ack` is being called with, or NULL */
    uint64_t turn;               /* which call of `ack` */
};

/*
 * acknowledger_init - There is no thread yet.
 */
void acknowledger_init(struct manager *manager);

/*
 * acknowledger_start - Starts the thread if there is none. Raises ThreadError.
 */
void acknowledger_start(struct manager *manager);

/*
 * acknowledger_try_to_start - The same, but does not raise: when it fails, there is still none.
 */
void acknowledger_try_to_start(struct manager *manager);

/*
 * acknowledger_stand_in - While nothing is in flight the acknowledger may sleep: who brings something in does before
 * what it does once a tick, when that is due. May run Ruby code. Raises only what the thread's interrupts bring.
 */
void acknowledger_stand_in(struct manager *manager);

/*
 * acknowledger_wake - Wakes the thread if it is parked. Runs no Ruby code.
 */
void acknowledger_wake(struct manager *manager);

/*
 * acknowledger_cut_off - Kills the thread if it is inside `ack`. Another one takes its place, and the offset is offered
 * again. Runs no Ruby code.
 */
void acknowledger_cut_off(struct manager *manager);

/*
 * acknowledger_look - For the watchdog: if it was called and has not come since the last look, wakes it again, or
 * notices that it died before it began.
 */
void acknowledger_look(struct manager *manager);

/*
 * acknowledger_wake_again - The same, at once.
 */
void acknowledger_wake_again(struct manager *manager);

#endif
