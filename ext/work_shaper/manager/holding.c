/*
 * holding - what the policy on failures asks of a manager: to hold, and what it needs to know to decide.
 */
#include "../ruby/clock.h"
#include "manager.h"
#include "supervisor.h"

/*
 * call-seq: hold(seconds)
 *
 * From now on no work starts but one probe every so many seconds: of another sub key each time, the oldest first.
 */
static VALUE hold(VALUE self, VALUE seconds) {
    struct manager *manager = manager_get(self);
    double period = NUM2DBL(seconds) * (double)NANOSECONDS_PER_SECOND;
    scheduler_hold(&manager->scheduler, clock_nanoseconds(), period < 1 ? 1 : (uint64_t)period);
    supervise(manager);
    return Qnil;
}

/*
 * call-seq: unhold
 *
 * Work starts again.
 */
static VALUE unhold(VALUE self) {
    struct manager *manager = manager_get(self);
    scheduler_release(&manager->scheduler);
    manager_progress(manager);
    return Qnil;
}

/*
 * call-seq: held?
 *
 * Whether no work starts but probes.
 */
static VALUE held(VALUE self) {
    return manager_get(self)->scheduler.held ? Qtrue : Qfalse;
}

/*
 * call-seq: total_tries
 *
 * How often work has ended, well or not.
 */
static VALUE total_tries(VALUE self) {
    return ULL2NUM(manager_get(self)->scheduler.total_tries);
}

/*
 * call-seq: drop_resting
 *
 * Drops what waits to be tried again, with all that waits behind it on its sub key, now and from now on.
 */
static VALUE drop_resting(VALUE self) {
    struct manager *manager = manager_get(self);
    manager->drops_retries = true;
    registry_drop_resting(manager);
    manager_progress(manager);
    waiters_look(manager);
    return Qnil;
}

void init_holding(VALUE manager_class) {
    rb_define_private_method(manager_class, "hold", hold, 1);
    rb_define_private_method(manager_class, "unhold", unhold, 0);
    rb_define_private_method(manager_class, "held?", held, 0);
    rb_define_private_method(manager_class, "total_tries", total_tries, 0);
    rb_define_private_method(manager_class, "drop_resting", drop_resting, 0);
}
