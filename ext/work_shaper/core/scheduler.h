/*
 * scheduler - what runs next, and which partitions have something to acknowledge.
 *
 * A deterministic machine: it knows neither threads nor clocks. The caller serialises the calls, owns the
 * queues and trackers, and frees a queue once sub_key_queue_idle says so.
 *
 *   offer -> (waits) -> take -> (runs) -> finish -> claim -> settle
 *
 * The oldest item that may start comes first. What is offered goes to the end of the arrivals, and take goes through
 * them in order: an item whose sub key is busy is passed over, once, and waits in its queue from then on. When such a
 * queue is free again it goes on before any arrival, for all of these are newer; the ready heap has the order among
 * such queues, mostly of none or one.
 */
#ifndef WORK_SHAPER_CORE_SCHEDULER_H
#define WORK_SHAPER_CORE_SCHEDULER_H

#include "item.h"
#include "offset_tracker.h"
#include "pool.h"
#include "ready_heap.h"
#include "sub_key_queue.h"

#include <stdbool.h>
#include <stdint.h>

struct scheduler {
    struct pool items;
    struct item *first_arrival, *last_arrival;       /* what waits and take has not come by, oldest first */
    struct ready_heap passed;                        /* queues whose first item was passed over, and may start now */
    uint32_t ready;                                  /* queues that have something waiting and nothing running */
    struct offset_tracker *first_moved, *last_moved; /* trackers that have something to claim */
    uint32_t max_in_queue;                           /* I7: waiting per sub key */
    uint32_t max_in_flight;                          /* I7: enqueued and not settled, in all */
    uint32_t waiting;                                /* items not started */
    uint32_t running;                                /* items started and not finished, fenced ones too */
    uint64_t in_flight;                              /* offsets received and not settled */
    uint64_t total_enqueued;
    uint64_t total_acknowledged; /* settled, refused and repeated ones too */
    uint64_t total_refused;      /* those of them that were refused */
    uint64_t total_dropped;      /* dropped or fenced by revoke, or dropped by scheduler_drop_waiting */
};

enum room {
    ROOM,
    SUB_KEY_FULL, /* max_in_queue wait on this sub key */
    FLIGHT_FULL   /* max_in_flight are in flight */
};

/*
 * scheduler_init - Makes it empty, with its two limits (both at least 1). Allocates nothing.
 */
void scheduler_init(struct scheduler *scheduler, uint32_t max_in_queue, uint32_t max_in_flight);

/*
 * scheduler_discard - Frees the items of a queue, but for arrivals, without a look at order or trackers: for the end
 * of everything.
 */
void scheduler_discard(struct scheduler *scheduler, struct sub_key_queue *queue);

/*
 * scheduler_destroy - Frees the arrivals and what else it holds itself, after every queue with items was discarded.
 */
void scheduler_destroy(struct scheduler *scheduler);

/*
 * scheduler_room - Whether an item can be offered on this sub key (NULL: one that has no queue yet).
 */
enum room scheduler_room(const struct scheduler *scheduler, const struct sub_key_queue *queue);

/*
 * scheduler_offer - Appends a message to its sub key and notes its offset. Does not look at the limits.
 *
 * now: milliseconds of the caller's clock, modulo 2^32.
 * Returns false when there is no memory; nothing has changed then.
 */
bool scheduler_offer(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                     uintptr_t message, int64_t offset, uint32_t now);

/*
 * scheduler_ready - Whether scheduler_take would return an item.
 */
bool scheduler_ready(const struct scheduler *scheduler);

/*
 * scheduler_ready_many - Whether a second item could be taken right after the first.
 */
bool scheduler_ready_many(const struct scheduler *scheduler);

/*
 * scheduler_take - Starts the item that was offered first of those whose sub key has nothing running. O(1), amortised,
 * but for what the ready heap takes.
 *
 * Returns NULL when nothing is ready.
 */
struct item *scheduler_take(struct scheduler *scheduler);

/*
 * scheduler_queue_up - Puts the arrivals into the queues of their sub keys, for who wants to see all that waits there.
 * Changes nothing about what is taken when. O(arrivals).
 */
void scheduler_queue_up(struct scheduler *scheduler);

/*
 * scheduler_finish - The item's work is over: its offset is finished, its sub key free for the next. Frees the item.
 */
void scheduler_finish(struct scheduler *scheduler, struct item *item);

/*
 * scheduler_abandon - The item's work was cut off for good. Its offset, and those of the items that wait behind it on
 * its sub key (running them would break I2 once Kafka delivers it again), stay unfinished. Frees the items.
 */
void scheduler_abandon(struct scheduler *scheduler, struct item *item);

/*
 * scheduler_drop - Frees the items of a tracker that wait on a queue; first half of a revoke, for every queue.
 */
void scheduler_drop(struct scheduler *scheduler, struct sub_key_queue *queue, const struct offset_tracker *tracker);

/*
 * scheduler_drop_waiting - Drops every item that waits on a queue, of whatever tracker; what runs is left alone. The
 * offsets stay unfinished, and in flight until their trackers are revoked: nothing from them on is acknowledged.
 *
 * Returns how many were dropped.
 */
uint32_t scheduler_drop_waiting(struct scheduler *scheduler, struct sub_key_queue *queue);

/*
 * scheduler_revoke - Forgets a tracker of which nothing waits any more; what runs will finish without effect (I6).
 */
void scheduler_revoke(struct scheduler *scheduler, struct offset_tracker *tracker);

/*
 * scheduler_moved - The tracker that has had something to claim for longest, taken off the list; NULL when there is
 * none.
 */
struct offset_tracker *scheduler_moved(struct scheduler *scheduler);

/*
 * scheduler_settle - Settles the tracker's underway claim (see offset_tracker_settle) and lists the tracker again if it
 * has more.
 */
void scheduler_settle(struct scheduler *scheduler, struct offset_tracker *tracker, bool accepted);

/*
 * scheduler_unclaim - Gives the tracker's underway claim back (see offset_tracker_unclaim) and lists the tracker again.
 */
void scheduler_unclaim(struct scheduler *scheduler, struct offset_tracker *tracker);

/*
 * scheduler_finished - How many offsets are finished and not yet settled, or were abandoned.
 */
uint64_t scheduler_finished(const struct scheduler *scheduler);

#endif
