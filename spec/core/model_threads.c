#include "model_threads.h"

/* Carrying out the rule: manager/supervisor.c */

static void set_coming(struct model *model, struct model_worker *worker, bool coming) {
    model->roster.coming += (unsigned)coming - (unsigned)worker->coming;
    worker->coming = coming;
    worker->overdue = false;
}

static void set_idle(struct model *model, struct model_worker *worker, bool idle) {
    model->roster.idle += (unsigned)idle - (unsigned)worker->idle;
    worker->idle = idle;
}

static void wake_worker(struct model *model) {
    struct model_worker *worker = model->workers;
    while (!worker->idle) {
        worker++;
    }
    set_idle(model, worker, false);
    set_coming(model, worker, true);
    worker->woken = !worker->deaf;
    worker->deaf = false;
}

static void start_worker(struct model *model) {
    struct model_worker *worker = model->workers;
    while (worker->state != ABSENT) {
        worker++;
    }
    *worker = (struct model_worker){.state = STARTED};
    model->roster.workers++;
    set_coming(model, worker, true);
}

static void wake_acknowledger(struct model *model) {
    struct model_acknowledger *acknowledger = &model->acknowledger;
    model->roster.acknowledger = THREAD_COMING;
    acknowledger->overdue = false;
    acknowledger->woken = !acknowledger->deaf;
    acknowledger->deaf = false;
}

static void start_acknowledger(struct model *model) {
    model->roster.acknowledger = THREAD_COMING;
    model->acknowledger = (struct model_acknowledger){.started = true};
}

static void wake_timekeeper(struct model *model) {
    struct model_timekeeper *timekeeper = &model->timekeeper;
    model->roster.timekeeper = THREAD_COMING;
    timekeeper->overdue = false;
    timekeeper->woken = !timekeeper->deaf;
    timekeeper->deaf = false;
}

static void start_timekeeper(struct model *model) {
    model->roster.timekeeper = THREAD_COMING;
    model->timekeeper = (struct model_timekeeper){.started = true};
}

void supervise(struct model *model) {
    enum call call = roster_acknowledger_call(&model->roster, &model->scheduler);
    if (call == CALL_WAKE) {
        wake_acknowledger(model);
    } else if (call == CALL_START) {
        start_acknowledger(model);
    }
    while ((call = roster_worker_call(&model->roster, &model->scheduler)) != CALL_NOBODY) {
        call == CALL_WAKE ? wake_worker(model) : start_worker(model);
    }
    call = roster_timekeeper_call(&model->roster, &model->scheduler);
    if (call != CALL_NOBODY) {
        call == CALL_WAKE ? wake_timekeeper(model) : start_timekeeper(model);
    }
}

static void worker_leaves(struct model *model, struct model_worker *worker) {
    set_idle(model, worker, false);
    set_coming(model, worker, false);
    model->roster.workers--;
    *worker = (struct model_worker){.state = ABSENT};
}

/* The watchdog: manager/supervisor.c, workers.c, acknowledger.c */

static void look_for(struct model *model, struct model_worker *worker) {
    if (!worker->coming || worker->state == LOOKING) {
        return;
    }
    if (!worker->overdue) {
        worker->overdue = true;
    } else if (worker->dead) {
        worker_leaves(model, worker);
    } else if (worker->state == PARKED) {
        worker->woken = true;
        set_coming(model, worker, false); /* others may be called in its place */
    }
}

void look(struct model *model) {
    struct model_acknowledger *acknowledger = &model->acknowledger;
    if (model->roster.acknowledger == THREAD_COMING) {
        if (acknowledger->overdue && acknowledger->dead) {
            model->roster.acknowledger = THREAD_GONE;
        } else if (acknowledger->overdue) {
            acknowledger->woken = true;
        }
        acknowledger->overdue = true;
    }
    struct model_timekeeper *timekeeper = &model->timekeeper;
    if (model->roster.timekeeper == THREAD_COMING) {
        if (timekeeper->overdue && timekeeper->dead) {
            model->roster.timekeeper = THREAD_GONE;
        } else if (timekeeper->overdue) {
            timekeeper->woken = true;
        }
        timekeeper->overdue = true;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        look_for(model, &model->workers[i]);
    }
    supervise(model);
}

/* Workers: manager/worker.c */

static void worker_looks(struct model *model, struct model_worker *worker) {
    if (worker->state != LOOKING) { /* it arrives */
        worker->state = LOOKING;
        worker->woken = worker->deaf = false;
        set_coming(model, worker, true);
        supervise(model);
    }
    scheduler_advance(&model->scheduler, model->now);
    worker->item = scheduler_take(&model->scheduler);
    if (worker->item) {
        worker->state = WORKING;
        set_coming(model, worker, false);
    } else if (model->roster.closing) {
        worker_leaves(model, worker);
    } else {
        worker->state = PARKED;
        set_coming(model, worker, false);
        set_idle(model, worker, true);
    }
    supervise(model);
}

static void worker_finishes(struct model *model, struct model_worker *worker) {
    worker->state = LOOKING;
    set_coming(model, worker, true);
    scheduler_finish(&model->scheduler, worker->item);
    worker->item = NULL;
    model->finished++;
    supervise(model);
}

void worker_fails(struct model *model, struct model_worker *worker) {
    worker->state = LOOKING;
    set_coming(model, worker, true);
    scheduler_retry(&model->scheduler, worker->item, model->now + 1, false);
    worker->item = NULL;
    supervise(model);
}

/* A thread ends: no other may be left to see that one that was called does not come. */
static void look_for_others(struct model *model) {
    if (model->roster.acknowledger == THREAD_COMING) {
        model->roster.acknowledger = model->acknowledger.dead ? THREAD_GONE : THREAD_COMING;
        model->acknowledger.woken = true;
    }
    if (model->roster.timekeeper == THREAD_COMING) {
        model->roster.timekeeper = model->timekeeper.dead ? THREAD_GONE : THREAD_COMING;
        model->timekeeper.woken = true;
    }
    supervise(model);
}

void worker_killed(struct model *model, struct model_worker *worker) {
    if (worker->item && model->roster.transient) { /* a stream goes on */
        scheduler_finish(&model->scheduler, worker->item);
        model->finished++;
    } else if (worker->item) {
        model->cut_off++;
        model->roster.closing = true;
        scheduler_abandon(&model->scheduler, worker->item);
    }
    worker_leaves(model, worker);
    look_for_others(model);
}

/* The acknowledger: manager/acknowledger.c, pass.c */

static void next_in_pass(struct model *model) {
    struct model_acknowledger *acknowledger = &model->acknowledger;
    struct offset_tracker *tracker;
    while ((tracker = scheduler_next_in_pass(&model->scheduler))) {
        if (offset_tracker_claim(tracker)) {
            acknowledger->in_ack = true;
            acknowledger->tracker = tracker;
            return;
        }
    }
    acknowledger->in_ack = false;
    acknowledger->tracker = NULL;
    roster_end_pass(&model->roster);
    model->roster.resting = true;
    supervise(model);
}

static void ack_returns(struct model *model) {
    scheduler_settle(&model->scheduler, model->acknowledger.tracker, true);
    next_in_pass(model);
}

static void acknowledger_turns(struct model *model) {
    struct roster *roster = &model->roster;
    if (roster->acknowledger != THREAD_BUSY) {
        roster->acknowledger = THREAD_BUSY;
        model->acknowledger.started = model->acknowledger.woken = model->acknowledger.overdue = false;
    }
    roster->announced = roster->closing;
    look(model);
    roster->watching = model->scheduler.in_flight || roster_finished(roster, &model->scheduler);
    if (roster_pass_due(roster, &model->scheduler)) {
        roster_begin_pass(roster);
        scheduler_begin_pass(&model->scheduler);
        next_in_pass(model);
    } else if (roster_watch_over(roster, &model->scheduler)) {
        roster->acknowledger = THREAD_GONE;
        supervise(model);
    } else if (!roster->watching && roster_may_go(roster, &model->scheduler)) {
        roster->acknowledger = THREAD_GONE;
        look_for_others(model);
    } else {
        roster->acknowledger = THREAD_PARKED;
    }
}

void acknowledger_killed(struct model *model) {
    if (model->acknowledger.in_ack) {
        scheduler_unclaim(&model->scheduler, model->acknowledger.tracker);
    }
    roster_cut_off_pass(&model->roster);
    model->acknowledger = (struct model_acknowledger){0};
    model->roster.acknowledger = THREAD_GONE;
    look_for_others(model);
}

/* The timekeeper: manager/timekeeper.c */

void timekeeper_killed(struct model *model) {
    model->timekeeper = (struct model_timekeeper){0};
    model->roster.timekeeper = THREAD_GONE;
    look_for_others(model);
}

void timekeeper_steps(struct model *model) {
    struct roster *roster = &model->roster;
    roster->timekeeper = THREAD_BUSY;
    model->timekeeper = (struct model_timekeeper){0};
    scheduler_advance(&model->scheduler, model->now);
    supervise(model);
    if (roster_finished(roster, &model->scheduler)) {
        roster->timekeeper = THREAD_GONE;
        look_for_others(model);
    } else {
        roster->timekeeper_until = scheduler_next_time(&model->scheduler);
        roster->timekeeper = THREAD_PARKED;
    }
}

/* After a while with nothing to do: a wake-up that got lost is found, or the thread of a transient roster ends. */

bool worker_lingers(const struct model *model, const struct model_worker *worker) {
    return model->roster.transient && worker->state == PARKED && !worker->dead &&
           (!worker->idle || roster_may_go(&model->roster, &model->scheduler));
}

void worker_lingered(struct model *model, struct model_worker *worker) {
    if (!worker->idle) {
        worker->woken = true;
        return;
    }
    worker_leaves(model, worker);
    look_for_others(model);
}

static bool timekeeper_may_go(const struct model *model) {
    return scheduler_next_time(&model->scheduler) == SCHEDULER_NEVER &&
           roster_may_go(&model->roster, &model->scheduler);
}

bool timekeeper_lingers(const struct model *model) {
    const struct model_timekeeper *timekeeper = &model->timekeeper;
    enum thread_state state = model->roster.timekeeper;
    bool called = state == THREAD_COMING && !timekeeper->started;
    return model->roster.transient && !timekeeper->dead &&
           (called || (state == THREAD_PARKED && timekeeper_may_go(model)));
}

void timekeeper_lingered(struct model *model) {
    timekeeper_steps(model);
    if (model->roster.timekeeper == THREAD_PARKED && timekeeper_may_go(model)) {
        model->roster.timekeeper = THREAD_GONE;
        look_for_others(model);
    }
}

/* What a thread does next */

/* Parked until a time that has come; a wake-up that got lost changes nothing about that. */
bool timekeeper_can_step(const struct model *model) {
    const struct model_timekeeper *timekeeper = &model->timekeeper;
    enum thread_state state = model->roster.timekeeper;
    bool called = state == THREAD_COMING && (timekeeper->started || timekeeper->woken);
    bool parked = state == THREAD_PARKED || (state == THREAD_COMING && !timekeeper->started);
    return !timekeeper->dead && (called || (parked && model->roster.timekeeper_until <= model->now));
}

bool worker_can_step(const struct model_worker *worker) {
    return !worker->dead && (worker->state == STARTED || worker->state == LOOKING || worker->state == WORKING ||
                             (worker->state == PARKED && worker->woken));
}

bool acknowledger_can_step(const struct model *model) {
    const struct model_acknowledger *acknowledger = &model->acknowledger;
    enum thread_state state = model->roster.acknowledger;
    return !acknowledger->dead &&
           (state == THREAD_BUSY || (state == THREAD_COMING && (acknowledger->started || acknowledger->woken)));
}

/* Parked with a deadline; a wake-up that got lost changes nothing about that. */
bool wakes_by_itself(const struct model *model) {
    enum thread_state state = model->roster.acknowledger;
    return model->roster.watching &&
           (state == THREAD_PARKED || (state == THREAD_COMING && !model->acknowledger.started));
}

/* Its deadline has come. */
void wakes(struct model *model) {
    wake_acknowledger(model);
    model->acknowledger.woken = true;
}

void worker_steps(struct model *model, struct model_worker *worker) {
    worker->state == WORKING ? worker_finishes(model, worker) : worker_looks(model, worker);
}

void acknowledger_steps(struct model *model) {
    model->acknowledger.in_ack ? ack_returns(model) : acknowledger_turns(model);
}
