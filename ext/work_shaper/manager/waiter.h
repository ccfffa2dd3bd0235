/*
 * waiter - a thread that waits inside one of our methods until something is over.
 *
 * A waiter is on the heap, held by a Ruby object: a Fiber that is dropped in the middle of a wait (its key's #hash
 * yielded, say) runs no `ensure`, and its stack is gone; then the garbage collector makes the waiter leave.
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

/* All waiters of a manager. */
struct waiters {
    struct list all;
};

/* To be the first member of a struct that has what `over` looks at. */
struct waiter {
    struct list link;        /* among all */
    struct manager *manager; /* NULL: it was freed while this still waited in it */
    uint64_t deadline;       /* in clock_nanoseconds, or NEVER */
    struct parker parker;
    /* Whether what is waited for has come. Runs no Ruby code. */
    bool (*over)(const struct waiter *waiter);
    /* Undoes what must be undone when it leaves, or NULL. In lists and counters only: the collector may call it. */
    void (*leave)(struct waiter *waiter);
    uint32_t *counted; /* the counter of those that wait like this, or NULL */
};

enum wait_end {
    WAIT_OVER, /* what was waited for is there; no Ruby code has run since it was looked at */
    WAIT_TIMED_OUT,
    WAIT_DESERTED /* the process ends: no thread is left that could bring it */
};

/*
 * waiters_init - Nobody waits.
 */
void waiters_init(struct waiters *waiters);

/*
 * waiters_destroy - Lets go of waiters that were dropped, when their manager is freed before them.
 */
void waiters_destroy(struct waiters *waiters);

/*
 * waiter_join - Makes a waiter that waits from now on, a copy of `waiter` with all that is behind it. Returns the
 * object that holds it, which the caller's frame must keep. Raises NoMemoryError.
 *
 * size: of the struct of which `waiter` is the first member.
 */
VALUE waiter_join(const struct waiter *waiter, size_t size);

/*
 * waiter_of - The waiter that an object holds.
 */
struct waiter *waiter_of(VALUE holder);

/*
 * waiter_wait - Parks the current thread until the wait is over, or the deadline has come. Raises what the thread's
 * interrupts bring, and ForkedProcess in a child that was forked meanwhile.
 *
 * Now and then it looks by itself where the watchdog may not: so a lost wake-up does no harm, and a fork in a signal
 * handler is noticed.
 */
enum wait_end waiter_wait(struct waiter *waiter);

/*
 * waiter_leave - It no longer waits. To be called in any case, even in a forked child.
 */
void waiter_leave(struct waiter *waiter);

/*
 * wait_until_over - All of that: joins, waits, and leaves whatever happens.
 */
enum wait_end wait_until_over(const struct waiter *waiter, size_t size);

/*
 * waiters_look - Wakes all whose wait is over.
 */
void waiters_look(struct manager *manager);

/*
 * waiters_wake - Wakes all, to look for themselves.
 */
void waiters_wake(struct manager *manager);

#endif
