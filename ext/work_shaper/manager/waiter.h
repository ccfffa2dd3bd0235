/*
 * waiter - a thread that waits inside one of our methods until something is over.
 *
 * Who waits is on the heap, held by a Ruby object: a Fiber that is dropped in the middle of a wait (its key's #hash
 * yielded, say) runs no `ensure`, and its stack is gone; then the collector has it leave.
 */
#ifndef WORK_SHAPER_MANAGER_WAITER_H
#define WORK_SHAPER_MANAGER_WAITER_H

#include "../core/list.h"
#include "../ruby/parker.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct manager;

/* All who wait in a manager. */
struct waiters {
    struct list all;
};

/* The first member of a struct that has what `over` looks at. */
struct waiter {
    struct list link;        /* among all */
    struct manager *manager; /* NULL: it was freed, with who still waited in it */
    uint64_t deadline;       /* in clock_nanoseconds, or NEVER */
    struct parker parker;
    /* Whether what is waited for has come. Runs no Ruby code. */
    bool (*over)(const struct waiter *waiter);
    /* What has to be undone when it leaves, or NULL: in the lists and counters alone, for it may be the collector. */
    void (*leave)(struct waiter *waiter);
    uint32_t *counted; /* how many wait like this, or NULL */
};

enum wait_end {
    WAIT_OVER, /* what was waited for is there; no Ruby code has run since it was looked at */
    WAIT_TIMED_OUT,
    WAIT_DESERTED /* the process ends: nobody is left who could bring it */
};

/*
 * waiters_init - Nobody.
 */
void waiters_init(struct waiters *waiters);

/*
 * waiters_destroy - Lets go of those that were dropped, when their manager is freed before them.
 */
void waiters_destroy(struct waiters *waiters);

/*
 * waiter_join - Makes one that waits from now on, a copy of `waiter` with all that is behind it. Returns the object
 * that holds it, for the caller's frame to keep. Raises NoMemoryError.
 *
 * size: of the struct of which `waiter` is the first member.
 */
VALUE waiter_join(const struct waiter *waiter, size_t size);

/*
 * waiter_of - The one that an object holds.
 */
struct waiter *waiter_of(VALUE holder);

/*
 * waiter_wait - Parks the current thread until it is over, or the deadline. Raises what the thread's interrupts bring,
 * and ForkedProcess in a child that was forked meanwhile.
 *
 * It looks by itself now and then where the watchdog may not: so a wake-up may get lost, and a fork in a signal handler
 * is noticed.
 */
enum wait_end waiter_wait(struct waiter *waiter);

/*
 * waiter_leave - It waits no longer. To be called in any case, and in a forked child, too.
 */
void waiter_leave(struct waiter *waiter);

/*
 * wait_until_over - All of that: joins, waits, and leaves whatever happens.
 */
enum wait_end wait_until_over(const struct waiter *waiter, size_t size);

/*
 * waiters_look - Wakes all for whom it is over.
 */
void waiters_look(struct manager *manager);

/*
 * waiters_wake - Wakes everyone, to look for themselves.
 */
void waiters_wake(struct manager *manager);

#endif
