/*
 * fairness - consideration for threads that must not starve: the acknowledger and the thread that feeds the manager say
 * when they want the GVL back; from then on busy workers give way between two messages, and park if another one is at
 * hand.
 *
 * Threads get the GVL in the order in which they asked, so a thread that is late also waits for all workers that ask
 * for it; and of workers that compute, no more than a few are of any use.
 */
#ifndef WORK_SHAPER_MANAGER_FAIRNESS_H
#define WORK_SHAPER_MANAGER_FAIRNESS_H

#include <stdbool.h>
#include <stdint.h>

struct manager;

struct fairness {
    bool feeder_expected;    /* a thread that feeds the manager waits without the GVL */
    uint32_t feeder_back_at; /* when it wants it back, in clock_milliseconds */
    uint32_t busy;           /* workers that do not lack work now */
    uint64_t busy_since;     /* when that number changed, in clock_nanoseconds */
    uint64_t idle_before;    /* how long the average worker had lacked work up to then, in nanoseconds */
};

/*
 * fairness_init - No thread is expected. The roster must have the concurrency already.
 */
void fairness_init(struct manager *manager);

/*
 * fairness_expect - The current thread can do without the GVL for so long, but no longer.
 */
void fairness_expect(struct manager *manager, uint32_t milliseconds);

/*
 * fairness_give_way - Lets others have the GVL if one of those who must not starve is late. For a worker between two
 * messages. Raises what the thread's interrupts bring.
 */
void fairness_give_way(const struct manager *manager);

/*
 * fairness_may_rest - Whether a worker that is going to look for work had better park, although something is ready:
 * some thread is late, and another worker is about to come for the work.
 */
bool fairness_may_rest(const struct manager *manager);

/*
 * fairness_count_busy - So many more workers have work, or do not lack it, from now on.
 */
void fairness_count_busy(struct manager *manager, int change);

/*
 * fairness_set_concurrency - There may be so many workers from now on, 1 at least.
 */
void fairness_set_concurrency(struct manager *manager, uint32_t concurrency);

/*
 * fairness_idle_time - How long the average worker has lacked work so far, in nanoseconds: it was parked because
 * nothing was ready, or not even started.
 */
uint64_t fairness_idle_time(const struct manager *manager);

#endif
