#include "waiter.h"

#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "manager.h"
#include "supervisor.h"

#include <stdlib.h>
#include <string.h>

void waiters_init(struct waiters *waiters) {
    list_init(&waiters->all);
}

void waiters_destroy(struct waiters *waiters) {
    struct list *link;
    while ((link = list_first(&waiters->all))) {
        list_remove(link);
        LIST_ENTRY(link, struct waiter, link)->manager = NULL;
    }
}

/* Joining and leaving */

static void mark_waiter(void *data) {
    const struct waiter *waiter = data;
    if (waiter && waiter->manager) {
        rb_gc_mark(waiter->manager->self);
    }
}

void waiter_leave(struct waiter *waiter) {
    if (!waiter->manager || list_empty(&waiter->link)) {
        return;
    }
    list_remove(&waiter->link);
    if (waiter->counted) {
        --*waiter->counted;
    }
    if (waiter->leave) {
        waiter->leave(waiter);
    }
}

static void free_waiter(void *data) {
    if (data) {
        waiter_leave(data);
        free(data);
    }
}

static const rb_data_type_t waiter_type = {
    .wrap_struct_name = "WorkShaper::Waiter",
    .function = {.dmark = mark_waiter, .dfree = free_waiter},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

VALUE waiter_join(const struct waiter *waiter, size_t size) {
    VALUE holder = TypedData_Wrap_Struct(0, &waiter_type, NULL); /* hidden: no Ruby code ever sees it */
    struct waiter *joined = malloc(size);
    if (!joined) {
        rb_memerror();
    }
    memcpy(joined, waiter, size);
    parker_init(&joined->parker);
    list_append(&joined->manager->waiters.all, &joined->link);
    if (joined->counted) {
        ++*joined->counted;
    }
    RTYPEDDATA_DATA(holder) = joined;
    RB_OBJ_WRITTEN(holder, Qundef, joined->manager->self);
    return holder;
}

struct waiter *waiter_of(VALUE holder) {
    return RTYPEDDATA_DATA(holder);
}

/* Waking */

static void wake(struct manager *manager, bool everyone) {
    struct list *link;
    list_each(link, &manager->waiters.all) {
        struct waiter *waiter = LIST_ENTRY(link, struct waiter, link);
        if (everyone || waiter->over(waiter)) {
            parker_unpark(&waiter->parker);
        }
    }
}

void waiters_look(struct manager *manager) {
    wake(manager, false);
}

void waiters_wake(struct manager *manager) {
    wake(manager, true);
}

/* Waiting */

/* The main thread looks by itself: a signal handler may have forked inside its sleep. */
static uint64_t nap_over(const struct waiter *waiter) {
    bool main_thread = rb_thread_current() == rb_thread_main();
    uint64_t over = main_thread ? clock_nanoseconds() + WATCH_PERIOD : supervisor_nap(waiter->manager);
    return over < waiter->deadline ? over : waiter->deadline;
}

/* When the process ends, no thread of ours waits in here, so that those who wait for it do not wait for another waiter;
 * nor does the main thread, in a trap handler, since all threads wait for it. */
static bool nobody_comes(struct manager *manager) {
    bool given_up_at_exit = thread_is_ours() || rb_thread_current() == rb_thread_main();
    return manager_deserted(manager) || (given_up_at_exit && process_ends());
}

enum wait_end waiter_wait(struct waiter *waiter) {
    struct manager *manager = waiter->manager;
    supervise(manager); /* the acknowledger need not sleep out its tick if that is what we wait for */
    while (!waiter->over(waiter)) {
        if (clock_nanoseconds() >= waiter->deadline) {
            return WAIT_TIMED_OUT;
        }
        if (nobody_comes(manager)) {
            return WAIT_DESERTED;
        }
        bool woken = parker_park(&waiter->parker, nap_over(waiter));
        manager_get(manager->self); /* raises in a forked child */
        if (!woken) {
            supervisor_look(manager);
        }
    }
    return WAIT_OVER;
}

static VALUE wait_here(VALUE holder) {
    return INT2FIX(waiter_wait(waiter_of(holder)));
}

static VALUE leave_here(VALUE holder) {
    waiter_leave(waiter_of(holder));
    return Qnil;
}

enum wait_end wait_until_over(const struct waiter *waiter, size_t size) {
    VALUE holder = waiter_join(waiter, size);
    enum wait_end end = (enum wait_end)FIX2INT(rb_ensure(wait_here, holder, leave_here, holder));
    RB_GC_GUARD(holder);
    return end;
}
