#include "worker.h"

#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "manager.h"
#include "supervisor.h"

/* Running one item after the other */

static VALUE *arguments_of(const struct item *item, VALUE *arguments) {
    arguments[0] = (VALUE)item->message;
    arguments[1] = partition_of(item->tracker)->keyed.key;
    arguments[2] = LL2NUM(item->offset);
    return arguments;
}

/* The item is over, finished or abandoned (`end`): lets go of what it held. */
static void let_go(struct worker *worker, void (*end)(struct scheduler *scheduler, struct item *item)) {
    struct manager *manager = worker->manager;
    struct item *item = worker->item;
    struct sub_key *sub_key = sub_key_of(item->queue);
    struct partition *partition = partition_of(item->tracker);
    worker->item = NULL;
    end(&manager->scheduler, item);
    registry_release_sub_key(manager, sub_key);
    if (partition->awaited && !partition->tracker.waiting && !partition->tracker.running) {
        waiters_look(manager);
    }
    registry_release_partition(manager, partition);
}

static void finish(struct worker *worker) {
    worker_set_coming(worker, true); /* it takes the next one by itself */
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

/* Takes the next item, and calls another worker if there is more. Returns false when nothing is ready. */
static bool take(struct worker *worker) {
    struct manager *manager = worker->manager;
    worker->item = scheduler_take(&manager->scheduler);
    if (!worker->item) {
        return false;
    }
    worker_set_coming(worker, false);
    struct sub_key *sub_key = sub_key_of(worker->item->queue);
    if (sub_key->line) {
        room_made(manager, sub_key);
    }
    if (manager->scheduler.ready) {
        supervise(manager); /* there is more than one worker can do */
    }
    return true;
}

/* Runs what is ready until nothing is, or until another worker will run it. Under rb_protect: all that must survive a
 * raise is in the worker. */
static VALUE run_ready(VALUE argument) {
    struct worker *worker = (struct worker *)argument;
    struct manager *manager = worker->manager;
    do {
        fairness_give_way(manager);
        rb_thread_check_ints(); /* the last point at which a kill costs nothing */
        if (!take(worker)) {
            break;
        }
        run(worker);
        if (manager_forked(manager)) {
            break;
        }
        finish(worker);
    } while (!process_ends() && !fairness_may_rest(manager));
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

/* Reports an error to on_error, or in the log when on_error is left out or raised it. Returns rb_protect's state. */
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

/* The work was cut off: C only, since the exception must still propagate. */
static void abandon(struct worker *worker, VALUE error) {
    struct manager *manager = worker->manager;
    struct item *item = worker->item;
    manager_fail(manager, "work", error, partition_of(item->tracker), item->offset);
    let_go(worker, scheduler_abandon);
}

/* Brings a worker whose run_ready ended with a state back to where it can continue, or lets the exception through. */
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

static VALUE work_loop(VALUE self) {
    struct manager *manager = manager_get(self);
    struct worker *worker = worker_arrive(manager);
    for (;;) {
        supervise(manager);
        do {
            int state;
            rb_protect(run_ready, (VALUE)worker, &state);
            recover(worker, state);
            if (manager_forked(manager)) {
                return Qnil;
            }
        } while (scheduler_ready(&manager->scheduler) && !fairness_may_rest(manager) && !process_ends());
        if (manager->roster.closing || process_ends()) {
            break;
        }
        worker_park(worker);
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE work_ended(VALUE self) {
    struct manager *manager = manager_of(self);
    if (!manager_forked(manager)) {
        VALUE thread = rb_thread_current();
        struct worker *worker = workers_find(manager, thread);
        worker_leave(worker ? worker : workers_find(manager, Qnil));
        manager_thread_ends(manager);
    }
    return Qnil;
}

VALUE worker_main(void *self) {
    return thread_run((VALUE)self, work_loop, work_ended);
}
