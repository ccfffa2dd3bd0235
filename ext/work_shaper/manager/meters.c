#include "meters.h"

#include "../ruby/clock.h"
#include "manager.h"

static uint64_t second_now(void) {
    return clock_nanoseconds() / NANOSECONDS_PER_SECOND;
}

void meters_init(struct meters *meters) {
    uint64_t now = second_now();
    meter_init(&meters->enqueued, now);
    meter_init(&meters->attempts, now);
}

void meters_note(struct manager *manager) {
    uint64_t now = second_now();
    meter_note(&manager->meters.enqueued, now, manager->scheduler.total_enqueued);
    meter_note(&manager->meters.attempts, now, manager->scheduler.total_tries);
}

VALUE meters_row(struct manager *manager) {
    static const unsigned periods[] = {1, 60, METER_SECONDS};
    const struct meters *meters = &manager->meters;
    VALUE rows = rb_ary_new();
    meters_note(manager);
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
        rb_ary_push(rows, rb_assoc_new(DBL2NUM(meter_rate(&meters->enqueued, periods[i])),
                                       DBL2NUM(meter_rate(&meters->attempts, periods[i]))));
    }
    return rows;
}

VALUE meters_history(struct manager *manager, unsigned period) {
    const struct meters *meters = &manager->meters;
    VALUE rows = rb_ary_new();
    meters_note(manager);
    double now = (double)clock_nanoseconds() / NANOSECONDS_PER_SECOND;
    uint64_t first = (meter_first(&meters->enqueued) + period - 1) / period * period;
    for (uint64_t from = first; from + period <= meters->enqueued.second; from += period) {
        uint64_t to = from + period;
        double enqueued = (double)meter_growth(&meters->enqueued, from, to) / period;
        double attempts = (double)meter_growth(&meters->attempts, from, to) / period;
        rb_ary_push(rows, rb_ary_new_from_args(3, DBL2NUM(now - (double)to), DBL2NUM(enqueued), DBL2NUM(attempts)));
    }
    return rows;
}
