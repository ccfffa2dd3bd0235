/*
 * scheduler - what runs next, and which partitions have something to acknowledge.
 *
 * A deterministic machine: it knows neither threads nor clocks, and is told the time. What must hold, I1 to I9, is in
 * docs/invariants.md. The caller serialises the calls, owns the queues and trackers, and frees a queue once
 * sub_key_queue_idle says so.
 *
 *   offer -> (waits) -> take -> (runs) -> finish -> claim -> settle
 *               ^                   |
 *               +------ retry <-----+
 *
 * Each offset is counted once: total_enqueued is total_acknowledged + total_dropped + in_flight, except that what
 * scheduler_drop_waiting dropped counts in both of the last two until its tracker is revoked (its `dropped`).
 *
 * Acknowledging proceeds in passes, in which each tracker has one turn, so that one that always has more to claim does
 * not keep the others waiting. A tracker is on one of the two lists exactly while it has something to claim and its
 * turn has not come.
 *
 * The oldest item that may start comes first. What is offered goes to the end of the arrivals, and take goes through
 * them in order: an item whose sub key is busy is passed over, once, and waits in its queue from then on. When such a
 * queue is free again it comes before any arrival, since all of these are newer; the heap of the passed keeps such
 * queues in order (usually there are none or one). An item that is to be tried again is passed over, too: it goes back
 * to the head of its queue, which rests until a time and is in the heap of times meanwhile. A function that needs all
 * that waits on a queue first moves the arrivals into their queues: scheduler_abandon, scheduler_drop_waiting and
 * scheduler_revoke do so themselves. Seen from outside, the rest of a queue's `waiting` is among the arrivals.
 */
#ifndef WORK_SHAPER_CORE_SCHEDULER_H
#define WORK_SHAPER_CORE_SCHEDULER_H

#include "heap.h"
#include "item.h"
#include "list.h"
#include "offset_tracker.h"
#include "pool.h"
#include "sub_key_queue.h"

#include <stdbool.h>
#include <stdint.h>

struct scheduler {
    struct pool items;
    void (*over)(const struct item *item, void *data); /* is told of each item that ends, before that; or NULL */
    void *over_data;
    bool ranked;                               /* by what scheduler_offer_ranked was told: nothing is an arrival then */
    struct item *first_arrival, *last_arrival; /* what waits and take has not reached yet, oldest first */
    struct heap passed;                        /* queues whose first item was passed over, and may start now */
    struct heap exempt;                        /* those of them that may start although it is held: they come first */
    struct heap times;                         /* queues that rest, and the next probe, by when they are due */
    uint32_t ready;                            /* queues whose first item may start */
    uint32_t retrying;                         /* items that wait and were tried before */
    bool held;                                 /* nothing starts but probes */
    bool paused;                               /* held, and no probes either: until a time */
    bool probe_due;                            /* one may */
    struct heap_node probe;                    /* in the heap of times while it is held: the next, or the end of it */
    struct heap_node alarm;                    /* in the heap of times while it is set */
    bool alarmed;                              /* its time has come */
    uint64_t probe_period;                     /* in nanoseconds */
    uint64_t probed;                           /* the rank of the last probe; 0: none since it is held */
    struct list pass;                          /* trackers that have something to claim in this pass */
    struct list moved;                         /* trackers that have something to claim in the next */
    uint32_t max_in_queue;                     /* I7: waiting per sub key */
    uint32_t max_in_flight;                    /* I7: unfinished, in all */
    uint32_t max_finished;                     /* I7: finished and not settled, in all */
    uint32_t waiting;                          /* items not started */
    uint32_t running;                          /* items started and not finished, fenced ones too */
    uint32_t crowded;                          /* items that wait and are more than max_in_queue on their sub key */
    uint32_t fenced;                           /* those of the running whose tracker is revoked */
    uint32_t marked;                           /* trackers that have something in the checkpoint */
    uint32_t marked_unfinished;                /* items that belong to it and are not finished */
    uint64_t in_flight;                        /* offsets received and not settled */
    uint64_t total_enqueued;
    uint64_t total_tries;        /* how often work ended, well or not */
    uint64_t total_acknowledged; /* settled, refused and repeated ones too */
    uint64_t total_refused;      /* those of them that were refused */
    uint64_t total_dropped;      /* forgotten by revoke, or dropped by scheduler_drop_waiting */
};

enum room_left {
    ROOM,
    SUB_KEY_FULL, /* max_in_queue wait on this sub key */
    FLIGHT_FULL,  /* max_in_flight are unfinished */
    BACKLOG_FULL  /* max_finished are finished and not settled: `ack` hangs, or a message below them does */
};

/* max_finished: as many offsets as may take up memory although nobody works on them. */
#define MOST_FINISHED (1u << 20u)

/*
 * scheduler_init - Makes it empty, with its two limits (both at least 1). It must not move from now on. Allocates
 * nothing.
 */
void scheduler_init(struct scheduler *scheduler, uint32_t max_in_queue, uint32_t max_in_flight);

/*
 * scheduler_discard - Frees the items of a queue, except arrivals, without regard to order or trackers: for the end of
 * everything.
 */
void scheduler_discard(struct scheduler *scheduler, struct sub_key_queue *queue);

/*
 * scheduler_destroy - Frees the arrivals and everything else that it owns. Every queue with items must have been
 * discarded before.
 */
void scheduler_destroy(struct scheduler *scheduler);

/*
 * scheduler_room - Whether an item can be offered on this sub key (NULL: one that has no queue yet), if so many others
 * go in before it on other ones.
 */
enum room_left scheduler_room(const struct scheduler *scheduler, const struct sub_key_queue *queue, uint32_t ahead);

/*
 * scheduler_offer - Appends a message to its sub key and notes its offset. Does not look at the limits; but an item
 * that comes when max_in_queue wait on its sub key already counts as crowded until it starts or is dropped.
 *
 * now: milliseconds of the caller's clock, modulo 2^32.
 * Returns false when there is no memory; nothing has changed then.
 */
bool scheduler_offer(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                     uintptr_t message, int64_t offset, uint32_t now);

/*
 * scheduler_offer_finished - Notes an offset above all that came in of a tracker, whose work was done in another
 * assignment: there is only something to acknowledge.
 *
 * Returns false when there is no memory; nothing has changed then.
 */
bool scheduler_offer_finished(struct scheduler *scheduler, struct offset_tracker *tracker, int64_t offset);

/* What scheduler_offer_ranked takes at most. */
#define HIGHEST_PRECEDENCE ((1u << 20u) - 1)

/*
 * scheduler_offer_ranked - The same, for a scheduler that has only such items: of those that may start the one with the
 * lowest precedence comes first, of equals the oldest. Within a sub key the order of the offers holds: what waits first
 * there counts for all.
 *
 * precedence: 0 to HIGHEST_PRECEDENCE.
 */
bool scheduler_offer_ranked(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                            uintptr_t message, int64_t offset, uint32_t now, uint32_t precedence);

/*
 * scheduler_ready - Whether scheduler_take would return an item.
 */
static inline bool scheduler_ready(const struct scheduler *scheduler) {
    return scheduler->ready && (!scheduler->held || scheduler->probe_due || scheduler->exempt.top);
}

/*
 * scheduler_take - Starts the oldest of the items whose sub key has nothing running. O(1), amortised, apart from what
 * the heaps take.
 *
 * Returns NULL when nothing is ready.
 */
struct item *scheduler_take(struct scheduler *scheduler);

/*
 * scheduler_retry - The item's work failed: it is to be tried again, not before a time in the caller's nanoseconds
 * (above 0). It waits at the head of its queue, which rests until then, and it keeps its place among all that waits.
 *
 * So one more than max_in_queue may wait on its sub key.
 *
 * exempt: whether it may start even while the scheduler is held, and then is no probe.
 */
void scheduler_retry(struct scheduler *scheduler, struct item *item, uint64_t not_before, bool exempt);

/* A time that never comes. */
#define SCHEDULER_NEVER UINT64_MAX

/*
 * scheduler_next_time - When scheduler_advance has something to do; SCHEDULER_NEVER: nothing depends on the time.
 */
static inline uint64_t scheduler_next_time(const struct scheduler *scheduler) {
    return scheduler->times.top ? scheduler->times.top->rank : SCHEDULER_NEVER;
}

/*
 * scheduler_advance - It is `now`, in the caller's nanoseconds: ends every rest that is over. O(log n) for each,
 * amortised.
 */
void scheduler_advance(struct scheduler *scheduler, uint64_t now);

/*
 * scheduler_hold - From now on nothing starts but one probe in each period (nanoseconds, above 0), the first after one:
 * the oldest item that may start, then the next newer one of another sub key each time, and round again. When
 * everything rests, it is what would be due first. Can be called again, for another period.
 */
void scheduler_hold(struct scheduler *scheduler, uint64_t now, uint64_t period);

/*
 * scheduler_release - Everything may start again.
 */
void scheduler_release(struct scheduler *scheduler);

/*
 * scheduler_pause - Nothing starts before a time (nanoseconds, above 0). Not for a scheduler that is held otherwise.
 */
void scheduler_pause(struct scheduler *scheduler, uint64_t until);

/*
 * scheduler_set_alarm - From a time on (nanoseconds, above 0; SCHEDULER_NEVER: never) `alarmed` is true, once
 * scheduler_advance was told that it has come.
 */
void scheduler_set_alarm(struct scheduler *scheduler, uint64_t time);

/*
 * scheduler_finish - The item's work is over: its offset is finished, its sub key free for the next. Frees the item.
 */
void scheduler_finish(struct scheduler *scheduler, struct item *item);

/*
 * scheduler_abandon - The item's work was cut off. Its offset, and those of the items that wait behind it on its sub
 * key (running them would break I2 once Kafka delivers it again), are never finished. Frees the items.
 */
void scheduler_abandon(struct scheduler *scheduler, struct item *item);

/*
 * scheduler_drop_waiting - Drops every item that waits on a queue, whatever its tracker; what runs is left alone. The
 * offsets stay unfinished, and in flight until their trackers are revoked: neither they nor anything above them is
 * acknowledged.
 *
 * Returns how many were dropped.
 */
uint32_t scheduler_drop_waiting(struct scheduler *scheduler, struct sub_key_queue *queue);

/*
 * scheduler_drop_above - The same for what waits of one tracker above an offset (OFFSET_NONE: all of it), on whatever
 * queue. What waits behind it there, of other trackers or below that offset, keeps its order.
 *
 * shortened: as for scheduler_revoke, and so is the cost.
 */
uint32_t scheduler_drop_above(struct scheduler *scheduler, struct offset_tracker *tracker, int64_t offset,
                              void (*shortened)(struct sub_key_queue *queue, void *data), void *data);

/*
 * scheduler_revoke - Drops the items of a tracker that wait, and forgets the tracker; what runs will finish without
 * effect, and an underway claim is settled or given back as if nothing had happened (I6). A second call does nothing.
 *
 * shortened: called once with each queue from which something was dropped, and `data`; it may free the queue if that is
 * sub_key_queue_idle now, and must not call anything that changes the scheduler. What else waits on these queues keeps
 * its order. O(what the tracker holds, the length of each of these queues, and the arrivals). Allocates nothing.
 */
void scheduler_revoke(struct scheduler *scheduler, struct offset_tracker *tracker,
                      void (*shortened)(struct sub_key_queue *queue, void *data), void *data);

/*
 * scheduler_claimable - Whether some tracker has something to claim, in this pass or for the next.
 */
static inline bool scheduler_claimable(const struct scheduler *scheduler) {
    return !list_empty(&scheduler->pass) || !list_empty(&scheduler->moved);
}

/*
 * scheduler_begin_pass - Makes up the pass of the trackers that have something to claim now, in the order in which they
 * came to have it. Trackers left over from a pass that was cut off come first.
 */
void scheduler_begin_pass(struct scheduler *scheduler);

/*
 * scheduler_next_in_pass - Takes the next tracker off the pass, for an offset_tracker_claim and (unless that returns
 * NULL) scheduler_settle or scheduler_unclaim. What it has to claim after that is for the next pass.
 *
 * Returns NULL when the pass is over.
 */
struct offset_tracker *scheduler_next_in_pass(struct scheduler *scheduler);

/*
 * scheduler_settle - Settles the tracker's underway claim (see offset_tracker_settle). The tracker is in the next pass
 * if it has more.
 */
void scheduler_settle(struct scheduler *scheduler, struct offset_tracker *tracker, bool accepted);

/*
 * scheduler_unclaim - Gives the tracker's underway claim back (see offset_tracker_unclaim), for the next pass. If the
 * tracker was revoked meanwhile, the claim counts as dropped.
 */
void scheduler_unclaim(struct scheduler *scheduler, struct offset_tracker *tracker);

/*
 * scheduler_mark - Adds to the checkpoint what the tracker has received so far and not settled; with every tracker
 * marked, scheduler->marked is 0 again once all that was received by then is settled, whatever comes in after it. There
 * is one checkpoint at a time: what is not settled of an earlier one belongs to the next one, too.
 *
 * The mark is the highest offset received. It is only ever raised, and removed as soon as nothing up to it is
 * unsettled, or by revoke. A late offset below it belongs to the checkpoint. One that was abandoned or dropped by
 * scheduler_drop_waiting is never settled: it keeps the mark until its tracker is revoked. O(1).
 */
void scheduler_mark(struct scheduler *scheduler, struct offset_tracker *tracker);

/*
 * scheduler_follow_up - The work or the acknowledgement of an unsettled offset (of `cause`) enqueued the last offset of
 * a tracker: if the former belongs to the checkpoint, so does the latter, with all that its tracker has unsettled.
 * O(1).
 */
void scheduler_follow_up(struct scheduler *scheduler, const struct offset_tracker *cause, int64_t offset,
                         struct offset_tracker *tracker);

/*
 * scheduler_update_moved, scheduler_unmark - For the core alone: a tracker is in the next pass if it has something to
 * claim now; it has nothing in the checkpoint any more.
 */
static inline void scheduler_update_moved(struct scheduler *scheduler, struct offset_tracker *tracker) {
    if (list_empty(&tracker->moved) && offset_tracker_claimable(tracker)) {
        list_append(&scheduler->moved, &tracker->moved);
    }
}
void scheduler_unmark(struct scheduler *scheduler, struct offset_tracker *tracker);

/*
 * scheduler_unfinished - How many items wait or run, except fenced ones.
 */
static inline uint32_t scheduler_unfinished(const struct scheduler *scheduler) {
    return scheduler->waiting + scheduler->running - scheduler->fenced;
}

/*
 * scheduler_finished - How many offsets are finished and not yet settled, or were abandoned.
 */
static inline uint64_t scheduler_finished(const struct scheduler *scheduler) {
    return scheduler->in_flight - scheduler_unfinished(scheduler);
}

#endif
