#include "worker.h"

#include "acknowledger.h"
#include "caller.h"
#include "clock.h"
#include "registry.h"
#include "thread.h"

#include <stdlib.h>

/* The lists */

/* Sets one of a worker's flags, of which the manager counts how many are set. */
static void set_counted(bool *flag, bool value, uint32_t *count) {
    if (*flag != value) {
        *flag = value;
        *count += value ? 1 : -1;
    }
}

static void set_coming(struct worker *worker, bool coming) {
    set_counted(&worker->coming, coming, &worker->manager->workers_coming);
}

static void set_passing(struct worker *worker, bool passing) {
    set_counted(&worker->passing, passing, &worker->manager->workers_passing);
}

static uint64_t idle_time_at(const struct manager *manager, uint64_t now) {
    const struct idleness *idleness = &manager->idleness;
    uint64_t lacking = manager->concurrency - idleness->busy;
    return idleness->before + (now - idleness->since) * lacking / manager->concurrency;
}

uint64_t workers_idle_time(const struct manager *manager) {
    return idle_time_at(manager, clock_nanoseconds());
}

static void count_busy(struct manager *manager, int change) {
    struct idleness *idleness = &manager->idleness;
    uint64_t now = clock_nanoseconds();
    idleness->before = idle_time_at(manager, now);
    idleness->since = now;
    idleness->busy += change;
}

static void become_idle(struct worker *worker) {
    struct manager *manager = worker->manager;
    worker->idle = true;
    worker->lacks_work = !scheduler_ready(&manager->scheduler);
    count_busy(manager, -worker->lacks_work);
    worker->previous_idle = NULL;
    worker->next_idle = manager->idle_workers;
    if (manager->idle_workers) {
        manager->idle_workers->previous_idle = worker;
    }
    manager->idle_workers = worker;
}

static void leave_idle(struct worker *worker) {
    if (!worker->idle) {
        return;
    }
    if (worker->previous_idle) {
        worker->previous_idle->next_idle = worker->next_idle;
    } else {
        worker->manager->idle_workers = worker->next_idle;
    }
    if (worker->next_idle) {
        worker->next_idle->previous_idle = worker->previous_idle;
    }
    count_busy(worker->manager, worker->lacks_work);
    worker->idle = false;
}

/* Makes a worker that is coming. Returns NULL when there is no memory. */
static struct worker *add_worker(struct manager *manager) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        return NULL;
    }
    worker->manager = manager;
    worker->thread = Qnil;
    worker->number = ++manager->workers_named;
    parker_init(&worker->parker);
    worker->next = manager->workers;
    if (manager->workers) {
        manager->workers->previous = worker;
    }
    manager->workers = worker;
    manager->worker_count++;
    count_busy(manager, 1);
    set_coming(worker, true);
    return worker;
}

static void remove_worker(struct worker *worker) {
    struct manager *manager = worker->manager;
    set_coming(worker, false);
    set_passing(worker, false);
    leave_idle(worker);
    if (worker->previous) {
        worker->previous->next = worker->next;
    } else {
        manager->workers = worker->next;
    }
    if (worker->next) {
        worker->next->previous = worker->previous;
    }
    manager->worker_count--;
    count_busy(manager, -1);
    free(worker);
}

bool workers_wake_one(struct manager *manager) {
    struct worker *worker = manager->idle_workers;
    if (!worker) {
        return false;
    }
    leave_idle(worker);
    set_coming(worker, true);
    parker_unpark(&worker->parker);
    return true;
}

void workers_wake(struct manager *manager) {
    while (workers_wake_one(manager)) {
    }
}

void worker_mark(const struct manager *manager) {
    for (const struct worker *worker = manager->workers; worker; worker = worker->next) {
        rb_gc_mark(worker->thread);
    }
}

/* Running one item after the other */

static VALUE *arguments_of(const struct item *item, VALUE *arguments) {
    arguments[0] = (VALUE)item->message;
    arguments[1] = partition_of(item->tracker)->keyed.key;
    arguments[2] = LL2NUM(item->offset);
    return arguments;
}

/* The item is over, for better or worse (`end`); what it held is let go. */
static void let_go(struct worker *worker, void (*end)(struct scheduler *scheduler, struct item *item)) {
    struct manager *manager = worker->manager;
    struct item *item = worker->item;
    struct sub_key *sub_key = sub_key_of(item->queue);
    struct partition *partition = partition_of(item->tracker);
    worker->item = NULL;
    end(&manager->scheduler, item);
    registry_release_sub_key(manager, sub_key);
    registry_release_partition(manager, partition);
}

static void finish(struct worker *worker) {
    let_go(worker, scheduler_finish);
    manager_progress(worker->manager);
}

static void run(struct worker *worker) {
    const struct manager *manager = worker->manager;
    VALUE arguments[3];
    worker->phase = IN_WORK;
    callback_call(&manager->work, 3, arguments_of(worker->item, arguments));
    if (callback_given(&manager->on_done)) {
        worker->phase = IN_ON_DONE;
        callback_call(&manager->on_done, 3, arguments);
    }
}

static bool guest_overdue(const struct guest *guest) {
    return guest->expected && (int32_t)(clock_milliseconds() - guest->back_at) > 0;
}

/* Whether one of the few threads that must not starve waits for the GVL. */
static bool someone_overdue(const struct manager *manager) {
    return acknowledger_overdue(manager) || guest_overdue(&manager->guest);
}

/*
 * Whether a worker had better park though something is ready: another one is about to come for it. Threads get the GVL
 * in the order in which they asked, so whoever is overdue waits for all workers that ask for it, too; and no more
 * than a few of those that compute are of any use.
 */
static bool may_rest(const struct manager *manager) {
    return !manager->closing && (manager->workers_coming || manager->workers_passing) && someone_overdue(manager);
}

/* How often a worker lets others pass: it may not be the first time that the right one gets the GVL. */
#define COURTESIES 2

static void give_way(struct worker *worker) {
    for (int i = 0; i < COURTESIES && someone_overdue(worker->manager); i++) {
        set_passing(worker, true);
        rb_thread_schedule();
        set_passing(worker, false);
    }
}

/* Runs what is ready until nothing is, or another one will. Under rb_protect: all that must survive a raise is in the
 * worker. */
static VALUE run_ready(VALUE argument) {
    struct worker *worker = (struct worker *)argument;
    struct manager *manager = worker->manager;
    struct scheduler *scheduler = &manager->scheduler;
    give_way(worker);
    while (scheduler_ready(scheduler)) {
        if (scheduler_ready_many(scheduler)) {
            worker_call(manager);
        }
        rb_thread_check_ints(); /* the last point at which a kill costs nothing */
        worker->item = scheduler_take(scheduler);
        if (!worker->item) {
            break;
        }
        callers_wake_for_room(manager);
        run(worker);
        if (manager_forked(manager)) {
            break;
        }
        finish(worker);
        if (may_rest(manager)) {
            break;
        }
        give_way(worker);
    }
    return Qnil;
}

/* When something was raised */

struct failure {
    struct worker *worker;
    VALUE error;
};

static VALUE tell_on_error(VALUE argument) {
    const struct failure *failure = (const struct failure *)argument;
    VALUE arguments[4] = {failure->error};
    arguments_of(failure->worker->item, arguments + 1);
    return callback_call(&failure->worker->manager->on_error, 4, arguments);
}

static VALUE tell_log(VALUE argument) {
    const struct failure *failure = (const struct failure *)argument;
    VALUE arguments[4] = {failure->error};
    arguments_of(failure->worker->item, arguments + 1);
    quietly(failure->worker->manager->self, "log_error", 4, arguments);
    return Qnil;
}

/* Tells the user of an error, in the log when on_error is left out or raised it. Returns rb_protect's state. */
static int tell(struct worker *worker, VALUE error) {
    struct failure failure = {.worker = worker, .error = error};
    int state;
    if (worker->phase == IN_ON_ERROR || !callback_given(&worker->manager->on_error)) {
        worker->phase = IN_ON_ERROR;
        rb_protect(tell_log, (VALUE)&failure, &state);
    } else {
        worker->phase = IN_ON_ERROR;
        rb_protect(tell_on_error, (VALUE)&failure, &state);
    }
    return state;
}

/* The work was cut off for good: C only, for the exception is still to go its way. */
static void abandon(struct worker *worker, VALUE error) {
    struct manager *manager = worker->manager;
    struct item *item = worker->item;
    manager_fail(manager, "work", error, partition_of(item->tracker), item->offset);
    let_go(worker, scheduler_abandon);
}

/* Brings a worker whose run_ready ended with a state back to where it can go on, or lets the exception through. */
static void recover(struct worker *worker, int state) {
    while (state) {
        if (!worker->item || manager_forked(worker->manager)) {
            rb_jump_tag(state);
        }
        VALUE error;
        if (callback_outcome(&error) != RAISED) {
            abandon(worker, error);
            rb_jump_tag(state);
        }
        rb_set_errinfo(Qnil);
        if (worker->phase != IN_ON_ERROR) {
            worker->manager->total_failed++;
        }
        state = tell(worker, error);
        RB_GC_GUARD(error);
    }
    if (worker->item && !manager_forked(worker->manager)) {
        finish(worker);
    }
}

/* The thread */

static struct worker *find_worker(const struct manager *manager, VALUE thread) {
    struct worker *worker = manager->workers;
    while (worker && worker->thread != thread) {
        worker = worker->next;
    }
    return worker;
}

/* Which of the workers that were started and have not arrived is nobody's business. */
static struct worker *arrive(struct manager *manager) {
    struct worker *worker = find_worker(manager, Qnil);
    worker->thread = rb_thread_current();
    RB_OBJ_WRITTEN(manager->self, Qundef, worker->thread);
    thread_name(rb_sprintf("work_shaper worker %u", worker->number));
    return worker;
}

static VALUE work_loop(VALUE self) {
    struct manager *manager = manager_get(self);
    struct worker *worker = arrive(manager);
    for (;;) {
        set_coming(worker, false);
        acknowledger_start(manager); /* it may be gone, and nobody else here to see it */
        do {
            int state;
            rb_protect(run_ready, (VALUE)worker, &state);
            set_passing(worker, false);
            recover(worker, state);
            if (manager_forked(manager)) {
                return Qnil;
            }
        } while (scheduler_ready(&manager->scheduler) && !may_rest(manager));
        if (manager->closing) {
            break;
        }
        become_idle(worker);
        parker_park(&worker->parker, NEVER);
        leave_idle(worker);
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE work_ended(VALUE self) {
    struct manager *manager = thread_manager(self);
    if (manager_forked(manager)) {
        return Qnil;
    }
    struct worker *worker = find_worker(manager, rb_thread_current());
    remove_worker(worker ? worker : find_worker(manager, Qnil));
    manager_relieve(manager);
    return Qnil;
}

static VALUE worker_main(void *self) {
    return thread_run((VALUE)self, work_loop, work_ended);
}

static VALUE start_thread(VALUE self) {
    return thread_start(self, worker_main);
}

void worker_start(struct manager *manager) {
    rb_thread_check_ints(); /* see thread_start */
    if (!worker_wanted(manager)) {
        return;
    }
    struct worker *worker = add_worker(manager);
    if (!worker) {
        rb_memerror();
    }
    int state;
    rb_protect(start_thread, manager->self, &state);
    if (!state) {
        return;
    }
    remove_worker(worker);
    VALUE error;
    if (manager->worker_count == 0 || callback_outcome(&error) != RAISED) {
        rb_jump_tag(state);
    }
    rb_set_errinfo(Qnil); /* the others will do, but one of them may have relied on this one */
    workers_wake_one(manager);
}

bool worker_wanted(const struct manager *manager) {
    return !manager->workers_coming && !manager->idle_workers && manager->worker_count < manager->concurrency;
}

void worker_call(struct manager *manager) {
    if (!scheduler_ready(&manager->scheduler) || manager->workers_coming || workers_wake_one(manager)) {
        return;
    }
    worker_start(manager);
}
