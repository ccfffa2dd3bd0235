/*
 * manager - the native half of WorkShaper::Manager.
 *
 * The GVL guards all of it: every VALUE and every change of state. Between two calls that may run Ruby code (callbacks,
 * a key's #hash and #eql?, logging, a look at interrupts) a function has the state to itself; after such a call it must
 * look again. None of it runs without the GVL: threads sleep in Ruby's own sleep (ruby/parker.c). What must hold, I1 to
 * I9, is in docs/invariants.md.
 */
#ifndef WORK_SHAPER_MANAGER_MANAGER_H
#define WORK_SHAPER_MANAGER_MANAGER_H

#include "../core/roster.h"
#include "../core/scheduler.h"
#include "../ruby/callback.h"
#include "acknowledger.h"
#include "attempt.h"
#include "drain.h"
#include "durations.h"
#include "fairness.h"
#include "meters.h"
#include "registry.h"
#include "room.h"
#include "thread_slot.h"
#include "timekeeper.h"
#include "waiter.h"
#include "weight.h"
#include "workers.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

/* Why the manager shut down by itself. */
struct fatal {
    VALUE callback;  /* :work or :ack; nil: it did not */
    VALUE error;     /* the exception; nil: the thread was killed */
    VALUE partition; /* of the offset */
    int64_t offset;
};

struct stream;

struct manager {
    VALUE self;
    struct stream *stream; /* whose results it works out; NULL: it acknowledges */
    bool set_up;
    unsigned long generation; /* of the process that made it */

    struct scheduler scheduler;
    struct roster roster;
    struct registry registry;

    struct callback work, on_done, ack;
    VALUE failures; /* WorkShaper::Recovery: says what becomes of a message whose work failed */
    struct acknowledger acknowledger;
    struct thread_slot timekeeper;
    struct workers workers;
    struct waiters waiters;
    struct room room;
    struct drains drains;
    struct fairness fairness;
    struct weight weight;
    struct durations durations;
    topic_of *topic_of; /* NULL: partitions belong to none */
    struct meters meters;
    bool tells_attempts; /* somebody listens */
    struct fatal fatal;
    uint64_t total_failed;
    uint64_t giving_up;   /* messages that are being given up */
    uint64_t stuck_after; /* nanoseconds after which work is told of in the log; 0: never */
    bool drops_retries;   /* what is to be tried again is dropped, with all behind it on its sub key */
    VALUE ending;         /* Array: threads of ours that are about to end, or have ended */
};

/*
 * manager_allocate - An object of the class or of one below it. manager_prepare - What is the same for messages and
 * streams when it is initialized; the settings are a Hash of checked values.
 */
VALUE manager_allocate(VALUE class);
void manager_prepare(struct manager *manager, VALUE failures, VALUE settings);

/*
 * manager_get - The manager behind a Ruby object. Raises Error when it was never set up, ForkedProcess in a forked
 * child.
 */
struct manager *manager_get(VALUE self);

/*
 * manager_partition - The partition of a key; NULL: nothing of it was received. Runs Ruby code (the key's #hash and
 * #eql?), and raises what manager_get raises, also after that.
 */
struct partition *manager_partition(VALUE self, VALUE key);

/*
 * manager_of - The manager behind a Ruby object, in whatever process and state.
 */
struct manager *manager_of(VALUE self);

/*
 * manager_forked - Whether this process is a forked child of the manager's: it must not touch parkers or lists.
 */
bool manager_forked(const struct manager *manager);

/*
 * manager_settled - Whether nothing waits, runs, or can be acknowledged.
 */
bool manager_settled(const struct manager *manager);

/*
 * manager_stopped - Whether it has shut down and its threads are gone, or about to be.
 */
bool manager_stopped(const struct manager *manager);

/*
 * manager_deserted - Whether no thread is left to do anything, and none can be started because the process ends. Tries
 * to start one first.
 */
bool manager_deserted(struct manager *manager);

/*
 * manager_request_shutdown - Refuses new work from now on and wakes all threads, which then wind down. Never waits or
 * raises.
 */
void manager_request_shutdown(struct manager *manager);

/*
 * manager_fail - Notes why the manager failed, if nothing was noted before, and refuses new work from now on. The
 * caller wakes the threads.
 *
 * callback: "work" or "ack".
 */
void manager_fail(struct manager *manager, const char *callback, VALUE error, const struct partition *partition,
                  int64_t offset);

/*
 * manager_progress - Something was finished, abandoned or settled: every thread that can continue now is called. Runs
 * no Ruby code.
 */
void manager_progress(struct manager *manager);

/*
 * manager_thread_ends - For a thread of ours that dies, once it is off the lists: others take over. Never raises.
 */
void manager_thread_ends(struct manager *manager);

/*
 * manager_inside_callback - Whether the current thread is inside one of the manager's callbacks.
 */
bool manager_inside_callback(const struct manager *manager);

/*
 * init_manager - Defines the class; the others define their methods on it. (YARD finds them by these names.)
 */
void init_manager(VALUE work_shaper);
void init_control(VALUE manager_class);
void init_dropping(VALUE manager_class);
void init_stats(VALUE manager_class);
void init_holding(VALUE manager_class);

#endif
