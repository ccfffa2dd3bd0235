#include "worker.h"

#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "../stream/interrupt.h"
#include "../stream/stream.h"
#include "failure.h"
#include "manager.h"
#include "supervisor.h"
#include "verdict.h"

/* Running one item after the other */

static VALUE message_of(const struct manager *manager, const struct item *item) {
    return manager->stream ? stream_input(item) : (VALUE)item->message;
}

static VALUE *arguments_of(const struct manager *manager, const struct item *item, VALUE *arguments) {
    arguments[0] = message_of(manager, item);
    arguments[1] = partition_of(item->tracker)->keyed.key;
    arguments[2] = LL2NUM(item->offset);
    return arguments;
}

/* The worker is done with its item, which is returned, and takes the next one by itself. */
static struct item *hand_over(struct worker *worker) {
    struct item *item = worker->item;
    worker_set_coming(worker, true);
    worker->item = NULL;
    return item;
}

/* message: what it worked on, as it was before. */
static void finish(struct worker *worker, VALUE message) {
    struct manager *manager = worker->manager;
    VALUE row = attempt_end(worker, message, true);
    verdict_finish(manager, hand_over(worker));
    manager_progress(manager);
    if (manager->stream) {
        stream_went_on(manager->stream);
    }
    attempt_tell(manager, row);
}

static void conclude(struct worker *worker, const struct verdict *verdict) {
    struct manager *manager = worker->manager;
    verdict_carry_out(manager, hand_over(worker), verdict);
    manager_progress(manager);
    if (manager->stream) {
        stream_went_on(manager->stream);
    }
}

/* Returns the verdict, when it is given up. */
static VALUE run(struct worker *worker) {
    const struct manager *manager = worker->manager;
    VALUE failure = sub_key_of(worker->item->queue)->failure;
    if (!NIL_P(failure) && failure_giving_up(failure)) {
        worker->phase = IN_POLICY;
        return rb_funcall(manager->failures, rb_intern("give_up"), 1, failure);
    }
    worker->phase = IN_WORK;
    attempt_begin(worker);
    if (manager->stream) {
        stream_work(manager->stream, worker);
        return Qnil;
    }
    VALUE arguments[3];
    callback_call(&manager->work, 3, arguments_of(manager, worker->item, arguments));
    if (callback_given(&manager->on_done)) {
        worker->phase = IN_ON_DONE;
        callback_call(&manager->on_done, 3, arguments);
    }
    return Qnil;
}

/* The breaker waits for any success. */
static void tell_success(const struct manager *manager) {
    if (manager->scheduler.held && !manager->scheduler.paused) {
        quietly(manager->failures, "work_succeeded", 0, NULL);
    }
}

/* Takes the next item, and calls another worker if there is more. Returns false when nothing is ready. */
static bool take(struct worker *worker) {
    struct manager *manager = worker->manager;
    if (manager->scheduler.times.top) {
        timekeeper_tell(manager);
    }
    worker->item = manager->stream ? stream_take(manager->stream) : scheduler_take(&manager->scheduler);
    if (!worker->item) {
        return false;
    }
    worker->turn++;
    worker_set_coming(worker, false);
    struct sub_key *sub_key = sub_key_of(worker->item->queue);
    if (sub_key->line) {
        room_made(manager, sub_key);
    }
    if (scheduler_ready(&manager->scheduler)) {
        supervise(manager); /* there is more than one worker can do */
    } else if (manager->roster.room_awaited) {
        room_freed(manager);
    }
    return true;
}

/* Whether there are more workers than there should be. */
static bool surplus(const struct manager *manager) {
    return manager->roster.workers > manager->roster.concurrency;
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
        VALUE message = message_of(manager, worker->item); /* a stream puts the result in its place */
        VALUE value = run(worker);
        if (manager_forked(manager)) {
            break;
        }
        RB_GC_GUARD(message);
        if (worker->phase == IN_POLICY) {
            struct verdict verdict = verdict_of(value);
            conclude(worker, &verdict);
        } else {
            finish(worker, message);
            tell_success(manager);
        }
    } while (!process_ends() && !fairness_may_rest(manager) && !surplus(manager));
    return Qnil;
}

/* When something was raised */

struct judgement {
    struct worker *worker;
    VALUE error;
    struct verdict verdict;
};

static VALUE judge_work(VALUE argument) {
    struct judgement *judgement = (struct judgement *)argument;
    struct manager *manager = judgement->worker->manager;
    VALUE arguments[5] = {Qnil, judgement->error};
    arguments_of(manager, judgement->worker->item, arguments + 2);
    attempt_tell(manager, attempt_end(judgement->worker, arguments[2], false));
    arguments[0] = failure_of(manager, sub_key_of(judgement->worker->item->queue));
    judgement->verdict = verdict_of(rb_funcallv(manager->failures, rb_intern("work_failed"), 5, arguments));
    return Qnil;
}

/* The work is done, whatever on_done makes of it. */
static VALUE tell_on_done_failed(VALUE argument) {
    struct judgement *judgement = (struct judgement *)argument;
    VALUE arguments[4] = {judgement->error};
    arguments_of(judgement->worker->manager, judgement->worker->item, arguments + 1);
    attempt_tell(judgement->worker->manager, attempt_end(judgement->worker, arguments[1], true));
    rb_funcallv(judgement->worker->manager->failures, rb_intern("on_done_failed"), 4, arguments);
    judgement->verdict = (struct verdict){.kind = VERDICT_FINISH};
    return Qnil;
}

/* Has the Ruby side say what becomes of the item. Returns rb_protect's state; when that is 0, there is a verdict. */
static int judge(struct judgement *judgement, enum phase phase) {
    struct worker *worker = judgement->worker;
    int state = 0;
    if (worker->manager->stream && stream_unwanted(worker->manager->stream, worker->item)) {
        judgement->verdict = (struct verdict){.kind = VERDICT_FINISH};
        return state;
    }
    if (phase == IN_POLICY) { /* our own error, since it lets none of the user's out */
        judgement->verdict = (struct verdict){.kind = VERDICT_STOP, .error = judgement->error};
        return state;
    }
    worker->manager->total_failed++;
    rb_protect(phase == IN_WORK ? judge_work : tell_on_done_failed, (VALUE)judgement, &state);
    return state;
}

/* The work was cut off: C only, since the exception must still propagate. */
static void abandon(struct worker *worker, VALUE error) {
    struct manager *manager = worker->manager;
    struct item *item = worker->item;
    worker->item = NULL;
    if (manager->stream) { /* its place holds that, and the others go on */
        stream_cut_off(manager->stream, item);
        verdict_finish(manager, item);
        return;
    }
    manager_fail(manager, "work", error, partition_of(item->tracker), item->offset);
    verdict_abandon(manager, item);
}

static VALUE settle_interrupts(VALUE argument) {
    interrupt_settle((struct worker *)argument);
    return Qnil;
}

/* What was raised into the work arrives before anybody asks what came out of it. Returns the new state, and that is
 * what came out; 0: nothing had to arrive. */
static int arrived(struct worker *worker) {
    VALUE error = rb_errinfo();
    int state = 0;
    if (interrupt_pending(worker) && !RB_SPECIAL_CONST_P(error)) { /* a kill ends the work anyhow */
        rb_protect(settle_interrupts, (VALUE)worker, &state);
        if (!state && is_exception(error)) {
            rb_set_errinfo(error);
        }
    }
    return state;
}

/* Brings a worker whose run_ready ended with a state back to where it can continue, or lets the exception through. */
static void recover(struct worker *worker, int state) {
    struct judgement judgement = {.worker = worker, .error = Qnil};
    bool worked = worker->item && worker->phase == IN_ON_DONE;
    enum phase phase = worker->phase;
    while (state) {
        if (!worker->item || manager_forked(worker->manager)) {
            rb_jump_tag(state);
        }
        worker->phase = IN_POLICY; /* from here on, nobody raises into it any more */
        int other = arrived(worker);
        if (other) {
            state = other;
            continue;
        }
        enum outcome outcome = callback_outcome(&state, &judgement.error);
        if (outcome == CUT_OFF || (outcome == RAISED_FATAL && !worker->manager->stream)) {
            bool exits = process_exit(judgement.error); /* first: who waits is woken when it is abandoned */
            abandon(worker, judgement.error);
            if (exits) {
                rb_set_errinfo(Qnil);
                return;
            }
            rb_jump_tag(state);
        }
        rb_set_errinfo(Qnil);
        state = judge(&judgement, phase);
        phase = IN_POLICY;
    }
    if (worker->item && !manager_forked(worker->manager)) {
        conclude(worker, &judgement.verdict);
        if (worked) {
            tell_success(worker->manager);
        }
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
        } while (scheduler_ready(&manager->scheduler) && !fairness_may_rest(manager) && !process_ends() &&
                 !surplus(manager));
        if (manager->roster.closing || process_ends() || surplus(manager) || !worker_park(worker)) {
            break;
        }
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE work_ended(VALUE self) {
    struct manager *manager = manager_of(self);
    if (!manager_forked(manager)) {
        VALUE thread = rb_thread_current();
        struct worker *worker = workers_find(manager, thread);
        if (worker && manager->stream) {
            worker_retire(worker);
            supervise(manager); /* another takes what comes meanwhile */
            stream_worker_ends(manager->stream, worker);
        }
        worker_leave(worker ? worker : workers_find(manager, Qnil));
        manager_thread_ends(manager);
    }
    return Qnil;
}

VALUE worker_main(void *self) {
    return thread_run((VALUE)self, work_loop, work_ended);
}
