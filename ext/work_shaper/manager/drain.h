/*
 * drain - waiting until what was enqueued before is finished and acknowledged, whatever comes in meanwhile.
 *
 * One checkpoint after the other (core/scheduler.h): a drain waits for one that began after it was called. Whoever
 * comes while one is open waits for the next, which begins when that is reached; so each drain has an end.
 */
#ifndef WORK_SHAPER_MANAGER_DRAIN_H
#define WORK_SHAPER_MANAGER_DRAIN_H

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct manager;
struct partition;

struct drains {
    uint64_t begun, over; /* checkpoints: equal but while one is open */
    bool next_wanted;     /* somebody waits for the one after it */
    uint64_t enqueued;    /* how many messages were, when the last one began */
};

/*
 * drains_look - Notes when the open checkpoint is reached, and begins the next one if that is wanted. Returns whether
 * it was.
 */
bool drains_look(struct manager *manager);

/*
 * drain_follow_up - A message has come into a partition. If it comes from a callback, it is waited for as the message
 * is for which that was called.
 */
void drain_follow_up(struct manager *manager, struct partition *partition);

/*
 * init_drain - Defines drain.
 */
void init_drain(VALUE manager_class);

#endif
