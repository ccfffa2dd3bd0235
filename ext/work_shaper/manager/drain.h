/*
 * drain - waiting until what was enqueued before is finished and acknowledged, whatever comes in meanwhile.
 *
 * Checkpoints come one after the other (core/scheduler.h): a drain waits for one that began after it was called. A
 * drain that is called while one is open waits for the next, which begins when the open one is reached; so each drain
 * ends.
 */
#ifndef WORK_SHAPER_MANAGER_DRAIN_H
#define WORK_SHAPER_MANAGER_DRAIN_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct partition;

struct drains {
    uint64_t begun, over; /* checkpoints: equal unless one is open */
    bool next_wanted;     /* a drain waits for the one after it */
    uint64_t enqueued;    /* how many messages had been enqueued when the last one began */
};

/*
 * drains_look - Notes when the open checkpoint is reached, and begins the next one if that is wanted. Returns whether
 * it was reached.
 */
bool drains_look(struct manager *manager);

/*
 * drain_follow_up - A message has come into a partition. If a callback enqueued it, drains wait for it as they do for
 * the message that the callback was called with.
 */
void drain_follow_up(struct manager *manager, struct partition *partition);

/*
 * init_drain - Defines drain.
 */
void init_drain(VALUE manager_class);

#endif
