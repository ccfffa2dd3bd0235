#include "timekeeper.h"

#include "../ruby/callback.h"
#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
#include "../stream/stream.h"
#include "manager.h"
#include "supervisor.h"

_Static_assert(SCHEDULER_NEVER == NEVER, "a deadline that never comes is the same for the core and for us");

void timekeeper_init(struct manager *manager) {
    thread_slot_init(&manager->timekeeper, &manager->roster.timekeeper);
}

void timekeeper_tell(struct manager *manager) {
    scheduler_advance(&manager->scheduler, clock_nanoseconds());
}

static VALUE keep_time(VALUE self) {
    struct manager *manager = manager_get(self);
    thread_slot_set_state(&manager->timekeeper, THREAD_BUSY);
    thread_name(rb_str_new_cstr("work_shaper timekeeper"));
    bool lingered = false;
    while (!manager_forked(manager) && !process_ends()) {
        timekeeper_tell(manager);
        if (manager->scheduler.alarmed) {
            stream_alarm(manager->stream);
        }
        supervise(manager);
        uint64_t next = scheduler_next_time(&manager->scheduler), linger = supervisor_linger(manager);
        bool unheard = next == NEVER || !manager->roster.room_awaited; /* whatever time comes */
        bool may_go = unheard && roster_may_go(&manager->roster, &manager->scheduler);
        if (roster_finished(&manager->roster, &manager->scheduler) || (may_go && lingered)) {
            break;
        }
        lingered = may_go;
        manager->roster.timekeeper_until = next < linger ? next : linger;
        thread_slot_park(&manager->timekeeper, manager->roster.timekeeper_until);
    }
    RB_GC_GUARD(self);
    return Qnil;
}

static VALUE ended(VALUE self) {
    struct manager *manager = manager_of(self);
    if (!manager_forked(manager)) {
        thread_slot_leave(&manager->timekeeper);
        manager_thread_ends(manager);
    }
    return Qnil;
}

static VALUE timekeeper_main(void *self) {
    return thread_run((VALUE)self, keep_time, ended);
}

static VALUE start(VALUE self) {
    thread_slot_start(&manager_of(self)->timekeeper, self, timekeeper_main);
    return Qnil;
}

void timekeeper_try_to_start(struct manager *manager) {
    try_call(start, manager->self);
}
