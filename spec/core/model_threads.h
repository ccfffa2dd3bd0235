/*
 * model_threads - the threads of the model, and how the rule is carried out: what manager/supervisor.c, worker.c,
 * workers.c, acknowledger.c, timekeeper.c and pass.c do.
 */
#ifndef WORK_SHAPER_SPEC_MODEL_THREADS_H
#define WORK_SHAPER_SPEC_MODEL_THREADS_H

#include "model.h"

/* Wakes or starts whoever must run. */
void supervise(struct model *model);

/* The look of the watchdog. */
void look(struct model *model);

/* Whether a thread is awake, and what it does then. */
bool worker_can_step(const struct model_worker *worker);
void worker_steps(struct model *model, struct model_worker *worker);
void worker_fails(struct model *model, struct model_worker *worker);
bool acknowledger_can_step(const struct model *model);
void acknowledger_steps(struct model *model);

bool timekeeper_can_step(const struct model *model);
void timekeeper_steps(struct model *model);

/* Whether the acknowledger has parked with a deadline, and that its deadline has come. */
bool wakes_by_itself(const struct model *model);
void wakes(struct model *model);

/* Whether a thread has something to do after it has had nothing to do for long, and that it does so. */
bool worker_lingers(const struct model *model, const struct model_worker *worker);
void worker_lingered(struct model *model, struct model_worker *worker);
bool timekeeper_lingers(const struct model *model);
void timekeeper_lingered(struct model *model);

void worker_killed(struct model *model, struct model_worker *worker);
void acknowledger_killed(struct model *model);
void timekeeper_killed(struct model *model);

#endif
