#include "caller.h"

#include "acknowledger.h"
#include "registry.h"

struct caller {
    struct caller *next, *previous; /* in the manager's list */
    struct manager *manager;
    struct sub_key_queue *queue;
    struct parker parker;
    uint64_t deadline;
    enum wish wish;
    bool woken;
};

static bool wants_room(const struct caller *caller) {
    return caller->wish == WISH_ROOM || caller->wish == WISH_FLIGHT;
}

static void link_caller(struct caller *caller) {
    struct manager *manager = caller->manager;
    caller->previous = manager->last_caller;
    if (manager->last_caller) {
        manager->last_caller->next = caller;
    } else {
        manager->callers = caller;
    }
    manager->last_caller = caller;
    if (caller->queue) {
        caller->queue->blocked++;
    }
    if (wants_room(caller)) {
        manager->callers_for_room++;
    }
}

static void unlink_caller(struct caller *caller) {
    struct manager *manager = caller->manager;
    if (caller->previous) {
        caller->previous->next = caller->next;
    } else {
        manager->callers = caller->next;
    }
    if (caller->next) {
        caller->next->previous = caller->previous;
    } else {
        manager->last_caller = caller->previous;
    }
    if (caller->queue) {
        caller->queue->blocked--;
    }
    if (wants_room(caller)) {
        manager->callers_for_room--;
    }
}

static VALUE park_caller(VALUE argument) {
    struct caller *caller = (struct caller *)argument;
    return parker_park(&caller->parker, caller->deadline) ? Qtrue : Qfalse;
}

static VALUE leave(VALUE argument) {
    struct caller *caller = (struct caller *)argument;
    struct manager *manager = caller->manager;
    if (manager_forked(manager)) {
        return Qnil;
    }
    unlink_caller(caller);
    if (caller->queue) {
        /* It was kept for the caller alone, perhaps; it comes back for it with the sub key itself. */
        registry_release_sub_key(manager, sub_key_of(caller->queue));
    }
    if (wants_room(caller) && caller->woken) {
        /* It may leave without taking the room it was woken for, or leave some: the next one looks. */
        callers_wake_for_room(manager);
    }
    return Qnil;
}

bool caller_wait(struct manager *manager, enum wish wish, struct sub_key_queue *queue, uint64_t deadline) {
    struct caller caller = {.manager = manager, .queue = queue, .deadline = deadline, .wish = wish};
    parker_init(&caller.parker);
    link_caller(&caller);
    acknowledger_call(manager); /* it need not sleep out its tick if that is what we wait for */
    return RTEST(rb_ensure(park_caller, (VALUE)&caller, leave, (VALUE)&caller));
}

static void wake(struct caller *caller) {
    caller->woken = true;
    parker_unpark(&caller->parker);
}

void callers_wake(struct manager *manager, enum wish wish) {
    for (struct caller *caller = manager->callers; caller; caller = caller->next) {
        if (caller->wish == wish) {
            wake(caller);
        }
    }
}

void callers_wake_for_room(struct manager *manager) {
    if (!manager->callers_for_room) {
        return;
    }
    for (struct caller *caller = manager->callers; caller; caller = caller->next) {
        if (wants_room(caller) && !caller->woken && scheduler_room(&manager->scheduler, caller->queue) == ROOM) {
            wake(caller);
            return;
        }
    }
}

bool callers_waiting(const struct manager *manager, enum wish wish) {
    for (const struct caller *caller = manager->callers; caller; caller = caller->next) {
        if (caller->wish == wish) {
            return true;
        }
    }
    return false;
}

bool callers_wait_for_flight(const struct manager *manager) {
    const struct scheduler *scheduler = &manager->scheduler;
    return scheduler->in_flight >= scheduler->max_in_flight && callers_waiting(manager, WISH_ROOM);
}
