/*
 * meters - how fast messages come in, and are worked on.
 */
#ifndef WORK_SHAPER_MANAGER_METERS_H
#define WORK_SHAPER_MANAGER_METERS_H

#include "../core/meter.h"

#include <ruby/ruby.h>

struct manager;

struct meters {
    struct meter enqueued, attempts;
};

/*
 * meters_init - They begin now.
 */
void meters_init(struct meters *meters);

/*
 * meters_note - Notes the totals. To be called once a tick while anything is in flight, and before something comes in
 * after a rest.
 */
void meters_note(struct manager *manager);

/*
 * meters_row - [[enqueued, attempts] a second over the last second, ... over the last minute, ... 15 minutes].
 */
VALUE meters_row(struct manager *manager);

/*
 * meters_history - A row for each period of some seconds that is over, the oldest first: [seconds since its end,
 * enqueued a second, attempts a second].
 *
 * period: 1 to METER_SECONDS.
 */
VALUE meters_history(struct manager *manager, unsigned period);

#endif
