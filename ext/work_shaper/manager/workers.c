#include "workers.h"

#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "manager.h"
#include "supervisor.h"
#include "worker.h"

#include <stdlib.h>

void workers_init(struct workers *workers) {
    list_init(&workers->all);
    list_init(&workers->idle);
}

struct worker *workers_find(const struct manager *manager, VALUE thread) {
    const struct list *link;
    list_each(link, &manager->workers.all) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->thread == thread) {
            return worker;
        }
    }
    return NULL;
}

void workers_mark(const struct workers *workers) {
    const struct list *link;
    list_each(link, &workers->all) {
        const struct worker *worker = LIST_ENTRY(link, struct worker, link);
        rb_gc_mark(worker->thread);
        if (worker->local != Qundef) {
            rb_gc_mark(worker->local);
        }
    }
}

void worker_set_coming(struct worker *worker, bool coming) {
    if (worker->coming != coming) {
        worker->coming = coming;
        worker->manager->roster.coming += coming ? 1 : -1;
    }
    worker->overdue = false;
}

/* Idle ones */

static bool idle(const struct worker *worker) {
    return !list_empty(&worker->idle_link);
}

static void become_idle(struct worker *worker) {
    struct manager *manager = worker->manager;
    worker_set_coming(worker, false);
    worker->lacks_work = !scheduler_ready(&manager->scheduler);
    fairness_count_busy(manager, -(int)worker->lacks_work);
    list_prepend(&manager->workers.idle, &worker->idle_link);
    manager->roster.idle++;
}

static void leave_idle(struct worker *worker) {
    if (idle(worker)) {
        list_remove(&worker->idle_link);
        worker->manager->roster.idle--;
        fairness_count_busy(worker->manager, worker->lacks_work);
    }
}

void workers_wake_one(struct manager *manager) {
    struct worker *worker = LIST_ENTRY(list_first(&manager->workers.idle), struct worker, idle_link);
    leave_idle(worker);
    worker_set_coming(worker, true);
    parker_unpark(&worker->parker);
}

static bool park(struct worker *worker) {
    struct manager *manager = worker->manager;
    uint64_t end = supervisor_linger(manager), nap = supervisor_nap(manager);
    while (!parker_park(&worker->parker, nap < end ? nap : end)) {
        if (clock_nanoseconds() >= end) {
            if (roster_may_go(&manager->roster, &manager->scheduler)) {
                return false;
            }
            end = supervisor_linger(manager);
        }
        supervisor_look(manager);
        nap = supervisor_nap(manager);
    }
    return true;
}

bool worker_park(struct worker *worker) {
    struct manager *manager = worker->manager;
    attempts_settle(worker);
    become_idle(worker);
    supervise(manager);
    bool woken = park(worker);
    leave_idle(worker);
    worker_set_coming(worker, true);
    return woken;
}

/* Coming and going */

static struct worker *add_worker(struct manager *manager) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        return NULL;
    }
    worker->manager = manager;
    worker->thread = Qnil;
    worker->local = Qundef;
    worker->number = ++manager->workers.ever_named;
    parker_init(&worker->parker);
    list_init(&worker->idle_link);
    list_append(&manager->workers.all, &worker->link);
    manager->roster.workers++;
    fairness_count_busy(manager, 1);
    worker_set_coming(worker, true);
    return worker;
}

void worker_retire(struct worker *worker) {
    worker_set_coming(worker, false);
    leave_idle(worker);
}

void worker_leave(struct worker *worker) {
    struct manager *manager = worker->manager;
    attempts_settle(worker);
    worker_retire(worker);
    list_remove(&worker->link);
    manager->roster.workers--;
    fairness_count_busy(manager, -1);
    free(worker);
}

struct worker *worker_arrive(struct manager *manager) {
    VALUE thread = rb_thread_current();
    struct worker *worker = workers_find(manager, thread);
    if (!worker) { /* the thread that started it has not noted it yet */
        worker = workers_find(manager, Qnil);
        worker->thread = thread;
        RB_OBJ_WRITTEN(manager->self, Qundef, thread);
    }
    thread_name(rb_sprintf("work_shaper worker %u", worker->number));
    thread_belongs_to("work_shaper_manager", manager->self);
    return worker;
}

static VALUE start_thread(VALUE self) {
    return thread_start(self, worker_main);
}

/* A closed thread group would keep the new thread; our own threads are in none, unless the thread that made the manager
 * was. */
static VALUE can_start_here(VALUE unused) {
    (void)unused;
    return !process_ends() && (thread_is_ours() || !thread_group_closed(rb_thread_current())) ? Qtrue : Qfalse;
}

static bool try_to_start(struct manager *manager) {
    if (try_call(can_start_here, Qnil) != Qtrue) {
        return false;
    }
    if (roster_worker_call(&manager->roster, &manager->scheduler) != CALL_START) {
        return true; /* others ran meanwhile, and one of them has started it */
    }
    struct worker *worker = add_worker(manager);
    if (!worker) {
        return false;
    }
    VALUE thread = try_call(start_thread, manager->self);
    if (thread == Qundef) {
        manager->workers.ever_named--;
        worker_leave(worker);
        return false;
    }
    worker->thread = thread;
    RB_OBJ_WRITTEN(manager->self, Qundef, thread);
    return true;
}

bool workers_start_one(struct manager *manager) {
    if (try_to_start(manager)) {
        return true;
    }
    acknowledger_wake(manager);
    return false;
}

/* The watchdog's look */

static struct worker *find_missed(const struct manager *manager) {
    const struct list *link;
    list_each(link, &manager->workers.all) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        if (worker->missed) {
            return worker;
        }
    }
    return NULL;
}

static void look_for(struct manager *manager, VALUE thread) {
    bool asleep = thread_asleep(thread);
    struct worker *worker = workers_find(manager, thread); /* it may have come meanwhile, or ended */
    if (!worker || !worker->coming) {
        return;
    }
    if (!thread_wake(thread)) {
        worker_leave(worker);
    } else if (asleep) {
        worker_set_coming(worker, false); /* it will be again when it comes */
    }
}

void workers_look(struct manager *manager) {
    struct list *link;
    list_each(link, &manager->workers.all) {
        struct worker *worker = LIST_ENTRY(link, struct worker, link);
        worker->missed = worker->coming && worker->overdue && !NIL_P(worker->thread);
        worker->overdue = worker->coming;
    }
    struct worker *worker;
    while ((worker = find_missed(manager))) {
        worker->missed = false;
        look_for(manager, worker->thread);
    }
}
