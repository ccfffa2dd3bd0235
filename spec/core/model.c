#include "model_threads.h"

static const unsigned key_of_message[MESSAGES] = {0, 0, 1};
static const unsigned partition_of_message[MESSAGES] = {0, 1, 0};

void model_init(struct model *model, struct budget budget, bool latest) {
    *model = (struct model){.budget = budget, .latest = latest};
    scheduler_init(&model->scheduler, MESSAGES, MESSAGES);
    model->roster.concurrency = WORKERS;
    model->roster.transient = budget.transient;
    model->now = 1;
    for (unsigned i = 0; i < KEYS; i++) {
        sub_key_queue_init(&model->queues[i]);
    }
    for (unsigned i = 0; i < PARTITIONS; i++) {
        budget.transient ? offset_tracker_init_untracked(&model->trackers[i])
                         : offset_tracker_init(&model->trackers[i], latest);
    }
}

void model_destroy(struct model *model) {
    for (unsigned i = 0; i < KEYS; i++) {
        scheduler_discard(&model->scheduler, &model->queues[i]);
    }
    scheduler_destroy(&model->scheduler);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        offset_tracker_clear(&model->trackers[i]);
    }
}

/* From outside: manager/enqueue.c, control.c, drain.c */

static void enqueue(struct model *model) {
    unsigned number = model->enqueued++;
    unsigned partition = partition_of_message[number];
    model->budget.messages--;
    scheduler_offer(&model->scheduler, &model->queues[key_of_message[number]], &model->trackers[partition], number,
                    number, 0);
    supervise(model);
}

static void ignore_idle(struct sub_key_queue *queue, void *data) {
    (void)queue;
    (void)data;
}

static void begin_drain(struct model *model) {
    model->draining = true;
    model->roster.end_awaited++;
    for (unsigned i = 0; i < PARTITIONS; i++) {
        if (!model->trackers[i].revoked) {
            scheduler_mark(&model->scheduler, &model->trackers[i]);
        }
    }
    supervise(model);
}

/* Those who wait return as soon as they can: nothing else depends on when. */
static void waiters_look(struct model *model) {
    if (model->flushing && roster_pass_over(&model->roster, &model->scheduler, model->flush_pass)) {
        model->flushing = false;
        model->roster.pass_awaited--;
    }
    if (model->draining && (model->scheduler.marked == 0 || roster_settled(&model->roster, &model->scheduler))) {
        model->draining = false;
        model->roster.end_awaited--;
    }
    if (model->stopping && roster_stopped(&model->roster, &model->scheduler)) {
        model->stopping = false;
        model->roster.end_awaited--;
    }
}

/* Events */

static bool unwatched(const struct model *model) {
    return model->roster.acknowledger == THREAD_COMING || model->roster.acknowledger == THREAD_GONE;
}

/* Somebody waits, and naps; or a worker has parked and does not know whether the acknowledger comes. */
static bool somebody_naps(const struct model *model) {
    bool parked = false;
    if (!model->roster.closing && roster_may_go(&model->roster, &model->scheduler)) {
        return false;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        parked = parked || model->workers[i].state == PARKED;
    }
    return model->flushing || model->draining || model->stopping || (parked && unwatched(model));
}

bool model_own(struct event event) {
    return event.kind == WORKER_STEPS || event.kind == ACKNOWLEDGER_STEPS || event.kind == TIMEKEEPER_STEPS;
}

bool model_own_timer(struct event event) {
    return event.kind == TIME_PASSES || event.kind == TICK_OVER || event.kind == WATCH || event.kind == NAP ||
           event.kind == WORKER_LINGERS || event.kind == TIMEKEEPER_LINGERS;
}

static bool timekeeper_allows(const struct model *model, enum event_kind kind) {
    const struct budget *budget = &model->budget;
    enum thread_state state = model->roster.timekeeper;
    uint64_t next = scheduler_next_time(&model->scheduler);
    switch (kind) {
    case TIMEKEEPER_STEPS:
        return timekeeper_can_step(model);
    case TIMEKEEPER_KILLED:
        return budget->kills && state != THREAD_GONE && !model->timekeeper.dead;
    case TIMEKEEPER_STILLBORN:
        return budget->stillbirths && model->timekeeper.started && !model->timekeeper.dead;
    case TIMEKEEPER_LINGERS:
        return timekeeper_lingers(model);
    case TIMEKEEPER_DEAF:
        return budget->lost && state == THREAD_PARKED && !model->timekeeper.deaf;
    default: /* TIME_PASSES */
        return next != SCHEDULER_NEVER && next > model->now;
    }
}

static bool acknowledger_allows(const struct model *model, enum event_kind kind) {
    const struct budget *budget = &model->budget;
    enum thread_state state = model->roster.acknowledger;
    switch (kind) {
    case ACKNOWLEDGER_STEPS:
        return acknowledger_can_step(model);
    case ACKNOWLEDGER_KILLED:
        return budget->kills && state != THREAD_GONE && !model->acknowledger.dead;
    case ACKNOWLEDGER_STILLBORN:
        return budget->stillbirths && model->acknowledger.started && !model->acknowledger.dead;
    case ACKNOWLEDGER_DEAF:
        return budget->lost && state == THREAD_PARKED && !model->acknowledger.deaf;
    case TICK_OVER:
        return model->roster.resting;
    default: /* WATCH */
        return wakes_by_itself(model);
    }
}

static bool worker_allows(const struct model *model, const struct model_worker *worker, enum event_kind kind) {
    const struct budget *budget = &model->budget;
    switch (kind) {
    case WORKER_STEPS:
        return worker_can_step(worker);
    case WORKER_FAILS:
        return budget->failures && worker->state == WORKING;
    case WORKER_KILLED:
        return budget->kills && worker->state != ABSENT && !worker->dead;
    case WORKER_STILLBORN:
        return budget->stillbirths && worker->state == STARTED && !worker->dead;
    case WORKER_LINGERS:
        return worker_lingers(model, worker);
    default: /* WORKER_DEAF */
        return budget->lost && worker->idle && !worker->deaf;
    }
}

static bool outside_allows(const struct model *model, struct event event) {
    const struct budget *budget = &model->budget;
    switch (event.kind) {
    case ENQUEUE:
        return budget->messages && !model->roster.closing &&
               !model->trackers[partition_of_message[model->enqueued]].revoked;
    case NAP:
        return somebody_naps(model);
    case REVOKE:
        return budget->revokes && !model->trackers[event.number].revoked;
    case FLUSH:
        return budget->flushes && !model->flushing;
    case DRAIN:
        return budget->drains && !model->draining;
    default: /* SHUT_DOWN */
        return budget->shutdowns && !model->stopping;
    }
}

bool model_allows(const struct model *model, struct event event) {
    if (event.kind >= WORKER_STEPS && event.kind <= WORKER_DEAF) {
        return worker_allows(model, &model->workers[event.number % WORKERS], event.kind);
    }
    if (event.kind >= ACKNOWLEDGER_STEPS && event.kind <= WATCH) {
        return acknowledger_allows(model, event.kind);
    }
    if (event.kind >= TIMEKEEPER_STEPS && event.kind <= TIME_PASSES) {
        return timekeeper_allows(model, event.kind);
    }
    return outside_allows(model, event);
}

static void from_outside(struct model *model, struct event event) {
    struct budget *budget = &model->budget;
    switch (event.kind) {
    case REVOKE:
        budget->revokes--;
        scheduler_revoke(&model->scheduler, &model->trackers[event.number], ignore_idle, NULL);
        supervise(model);
        break;
    case FLUSH:
        budget->flushes--;
        model->flushing = true;
        model->roster.pass_awaited++;
        model->flush_pass = model->roster.passes_begun + 1;
        supervise(model);
        break;
    case DRAIN:
        budget->drains--;
        begin_drain(model);
        break;
    case SHUT_DOWN:
        budget->shutdowns--;
        model->stopping = model->roster.closing = true;
        model->roster.end_awaited++;
        supervise(model);
        break;
    default:
        enqueue(model);
    }
}

static void to_worker(struct model *model, struct model_worker *worker, enum event_kind kind) {
    switch (kind) {
    case WORKER_STEPS:
        worker_steps(model, worker);
        break;
    case WORKER_FAILS:
        model->budget.failures--;
        worker_fails(model, worker);
        break;
    case WORKER_KILLED:
        model->budget.kills--;
        worker_killed(model, worker);
        break;
    case WORKER_STILLBORN:
        model->budget.stillbirths--;
        worker->dead = true;
        break;
    case WORKER_LINGERS:
        worker_lingered(model, worker);
        break;
    default: /* WORKER_DEAF */
        model->budget.lost--;
        worker->deaf = true;
    }
}

static void to_acknowledger(struct model *model, enum event_kind kind) {
    switch (kind) {
    case ACKNOWLEDGER_STEPS:
        acknowledger_steps(model);
        break;
    case ACKNOWLEDGER_KILLED:
        model->budget.kills--;
        acknowledger_killed(model);
        break;
    case ACKNOWLEDGER_STILLBORN:
        model->budget.stillbirths--;
        model->acknowledger.dead = true;
        break;
    case ACKNOWLEDGER_DEAF:
        model->budget.lost--;
        model->acknowledger.deaf = true;
        break;
    case TICK_OVER:
        model->roster.resting = false;
        if (wakes_by_itself(model)) {
            wakes(model); /* it parked until then */
        }
        break;
    default: /* WATCH */
        wakes(model);
    }
}

static void to_timekeeper(struct model *model, enum event_kind kind) {
    switch (kind) {
    case TIMEKEEPER_STEPS:
        timekeeper_steps(model);
        break;
    case TIMEKEEPER_LINGERS:
        timekeeper_lingered(model);
        break;
    case TIMEKEEPER_KILLED:
        model->budget.kills--;
        timekeeper_killed(model);
        break;
    case TIMEKEEPER_STILLBORN:
        model->budget.stillbirths--;
        model->timekeeper.dead = true;
        break;
    case TIMEKEEPER_DEAF:
        model->budget.lost--;
        model->timekeeper.deaf = true;
        break;
    default: /* TIME_PASSES */
        model->now = scheduler_next_time(&model->scheduler);
    }
}

void model_happen(struct model *model, struct event event) {
    if (event.kind >= WORKER_STEPS && event.kind <= WORKER_DEAF) {
        to_worker(model, &model->workers[event.number % WORKERS], event.kind);
    } else if (event.kind >= ACKNOWLEDGER_STEPS && event.kind <= WATCH) {
        to_acknowledger(model, event.kind);
    } else if (event.kind >= TIMEKEEPER_STEPS && event.kind <= TIME_PASSES) {
        to_timekeeper(model, event.kind);
    } else if (event.kind == NAP) {
        look(model);
    } else {
        from_outside(model, event);
    }
    waiters_look(model);
}
