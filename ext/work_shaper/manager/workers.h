/*
 * workers - the worker threads: which there are; starting, parking and waking them.
 */
#ifndef WORK_SHAPER_MANAGER_WORKERS_H
#define WORK_SHAPER_MANAGER_WORKERS_H

#include "../core/item.h"
#include "../core/list.h"
#include "../ruby/parker.h"
#include "attempt.h"
#include "stuck.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;

/* Whether something was raised into what it does. */
enum hit { NOT_HIT, BEING_HIT, HAS_BEEN_HIT };

/* What a worker is in the middle of. */
enum phase { IN_WORK, IN_ON_DONE, IN_POLICY };

struct worker {
    struct manager *manager;
    struct list link;      /* among all */
    struct list idle_link; /* among the idle; a list of its own while it is busy */
    struct parker parker;
    VALUE thread; /* nil while it is being started */
    uint32_t number;
    bool coming;       /* is going to look for work */
    bool overdue;      /* was coming already at the watchdog's last look */
    bool missed;       /* and is yet to be looked for in this one */
    bool lacks_work;   /* parked, and nothing was ready then */
    struct item *item; /* what it runs, or NULL */
    enum phase phase;
    uint64_t turn; /* how many items it took */
    VALUE local;   /* what a stream's work on this thread shares; Qundef: nothing yet */
    enum hit hit;  /* see stream/interrupt.h */
    struct sighting sighting;
    struct attempt attempt;
};

/* The roster has how many there are, are idle and are coming. */
struct workers {
    struct list all;
    struct list idle;    /* the latest first: the warmest */
    uint32_t ever_named; /* how many were ever started */
};

/*
 * workers_init - No workers yet.
 */
void workers_init(struct workers *workers);

/*
 * workers_start_one - Starts a worker, which is coming then, if the rule still asks for it. Returns false when it could
 * not: the acknowledger has been woken then, and tries again. Other threads may run meanwhile.
 */
bool workers_start_one(struct manager *manager);

/*
 * workers_wake_one - Wakes an idle worker, which is coming then; there must be one. Runs no Ruby code.
 */
void workers_wake_one(struct manager *manager);

/*
 * workers_look - For the watchdog: takes off workers that died before they began, wakes again those that were woken and
 * do not come, and lets others be called in their place. Other threads may run meanwhile.
 */
void workers_look(struct manager *manager);

/*
 * workers_mark - For the garbage collector.
 */
void workers_mark(const struct workers *workers);

/*
 * workers_find - The worker of a thread, or NULL.
 */
struct worker *workers_find(const struct manager *manager, VALUE thread);

/*
 * worker_arrive - The current thread is a worker that was started. Returns it.
 */
struct worker *worker_arrive(struct manager *manager);

/*
 * worker_set_coming - Notes whether it is going to look for work.
 */
void worker_set_coming(struct worker *worker, bool coming);

/*
 * worker_park - Parks the current thread, a worker that has nothing to do, until it is woken; it is coming then. Raises
 * what the thread's interrupts bring. Returns false when it has had nothing to do for long, and may end.
 */
bool worker_park(struct worker *worker);

/*
 * worker_retire - It takes nothing more: it is about to leave.
 */
void worker_retire(struct worker *worker);

/*
 * worker_leave - Takes a worker off every list, and frees it.
 */
void worker_leave(struct worker *worker);

#endif
