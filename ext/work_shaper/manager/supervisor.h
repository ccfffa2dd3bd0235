/*
 * supervisor - carries out what the roster's rule says, and repairs what got lost.
 */
#ifndef WORK_SHAPER_MANAGER_SUPERVISOR_H
#define WORK_SHAPER_MANAGER_SUPERVISOR_H

#include <stdint.h>

struct manager;

/*
 * supervise - Wakes or starts every thread that must run, as the roster's rule says. To be called after every change;
 * calling it too often does no harm. Never raises: a thread that could not be started is started later, by the
 * acknowledger. When it starts one, other threads may run meanwhile.
 */
void supervise(struct manager *manager);

/*
 * supervisor_look - The watchdog: finds threads that died before they began and wake-ups that were lost, wakes every
 * thread that can continue, and supervises. For the acknowledger, and for threads that wait while it may not be there.
 */
void supervisor_look(struct manager *manager);

/* How often the watchdog looks while anything is in flight, in nanoseconds. */
#define WATCH_PERIOD 100000000ULL

/*
 * supervisor_nap - Until when a thread that parks may sleep, in clock_nanoseconds: for ever while the acknowledger
 * watches, or nothing is in flight; otherwise until it should have a look itself.
 */
uint64_t supervisor_nap(const struct manager *manager);

/*
 * supervisor_linger - Until when a thread that has nothing to do stays, in clock_nanoseconds: NEVER, unless the
 * manager's threads end when nothing is in flight.
 */
uint64_t supervisor_linger(const struct manager *manager);

#endif
