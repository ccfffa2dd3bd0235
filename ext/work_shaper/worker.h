/*
 * worker - the loop of one worker thread: take, work, on_done or on_error, finish; park when nothing is ready.
 */
#ifndef WORK_SHAPER_WORKER_H
#define WORK_SHAPER_WORKER_H

#include "manager.h"

/* What a worker is in the middle of. */
enum phase { IN_WORK, IN_ON_DONE, IN_ON_ERROR };

struct worker {
    struct manager *manager;
    struct worker *next, *previous;           /* among all */
    struct worker *next_idle, *previous_idle; /* among the idle */
    struct parker parker;
    VALUE thread; /* nil until it has arrived */
    uint32_t number;
    bool coming;  /* called or started, and not yet arrived */
    bool passing; /* lets other threads have the GVL between two messages */
    bool idle;
    bool lacks_work;   /* it is idle because nothing was ready */
    struct item *item; /* what it runs, or NULL */
    enum phase phase;
};

/*
 * worker_call - Sees to it that someone comes for what is ready: wakes one idle worker, or starts one if there is none
 * and `concurrency` allows; does nothing when one is already on its way. One at a time: whoever arrives and finds more
 * than it can do calls the next, so that work too short to be worth a second thread does not get one. Raises
 * ThreadError only when there is no worker at all.
 */
void worker_call(struct manager *manager);

/*
 * worker_wanted - Whether worker_call would start a thread for one more ready queue.
 */
bool worker_wanted(const struct manager *manager);

/*
 * worker_start - Starts a worker if one is wanted. Raises ThreadError only when there is no worker at all, and what the
 * thread's interrupts bring.
 */
void worker_start(struct manager *manager);

/*
 * workers_wake - Wakes every idle worker.
 */
void workers_wake(struct manager *manager);

/*
 * workers_wake_one - Wakes one idle worker. Returns false when there is none.
 */
bool workers_wake_one(struct manager *manager);

/*
 * workers_idle_time - How long the average worker lacked work so far, in nanoseconds: was parked because nothing was
 * ready, or not even started.
 */
uint64_t workers_idle_time(const struct manager *manager);

/*
 * worker_mark - For the garbage collector.
 */
void worker_mark(const struct manager *manager);

#endif
