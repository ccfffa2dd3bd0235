#include "timekeeper.h"

#include "../ruby/callback.h"
#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"
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
    while (!manager_forked(manager) && !process_ends()) {
        timekeeper_tell(manager);
        supervise(manager);
        if (roster_finished(&manager->roster, &manager->scheduler)) {
            break;
        }
        manager->roster.timekeeper_until = scheduler_next_time(&manager->scheduler);
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
