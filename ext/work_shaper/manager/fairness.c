#include "fairness.h"

#include "../ruby/clock.h"
#include "manager.h"

void fairness_init(struct manager *manager) {
    manager->fairness = (struct fairness){.busy_since = clock_nanoseconds()};
}

/* Who is late */

/* For how many milliseconds the acknowledger may wait for the GVL. */
#define PATIENCE 20

static int32_t late_by(uint32_t due_at) {
    return (int32_t)(clock_milliseconds() - due_at);
}

static bool acknowledger_late(const struct manager *manager) {
    enum thread_state state = manager->roster.acknowledger;
    return (state == THREAD_COMING || state == THREAD_PARKED) && late_by(manager->acknowledger.due_at) > PATIENCE;
}

static bool feeder_late(const struct fairness *fairness) {
    return fairness->feeder_expected && late_by(fairness->feeder_back_at) > 0;
}

static bool somebody_late(const struct manager *manager) {
    return acknowledger_late(manager) || feeder_late(&manager->fairness);
}

void fairness_expect(struct manager *manager, uint32_t milliseconds) {
    manager->fairness.feeder_back_at = clock_milliseconds() + milliseconds;
    manager->fairness.feeder_expected = true;
}

/* The right thread may not get the GVL the first time. */
#define MAX_YIELDS 2

void fairness_give_way(const struct manager *manager) {
    for (int i = 0; i < MAX_YIELDS && somebody_late(manager); i++) {
        rb_thread_schedule();
    }
}

bool fairness_may_rest(const struct manager *manager) {
    return !manager->roster.closing && manager->roster.coming > 1 && somebody_late(manager);
}

/* How much work there is */

static uint64_t idle_time_at(const struct manager *manager, uint64_t now) {
    const struct fairness *fairness = &manager->fairness;
    uint32_t concurrency = manager->roster.concurrency;
    uint64_t lacking = concurrency > fairness->busy ? concurrency - fairness->busy : 0;
    return fairness->idle_before + (now - fairness->busy_since) / concurrency * lacking;
}

uint64_t fairness_idle_time(const struct manager *manager) {
    return idle_time_at(manager, clock_nanoseconds());
}

/* Notes what was before a change. */
static void note_idle_time(struct manager *manager) {
    uint64_t now = clock_nanoseconds();
    manager->fairness.idle_before = idle_time_at(manager, now);
    manager->fairness.busy_since = now;
}

void fairness_count_busy(struct manager *manager, int change) {
    if (change) {
        note_idle_time(manager);
        manager->fairness.busy += change;
    }
}

void fairness_set_concurrency(struct manager *manager, uint32_t concurrency) {
    note_idle_time(manager);
    manager->roster.concurrency = concurrency;
}
