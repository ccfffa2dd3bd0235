/*
 * offset_tracker - what may be acknowledged of one partition in one assignment.
 *
 * Offsets that arrive in ascending order, as Kafka delivers them, are numbered and kept in a ring, the window:
 * receiving, finishing and moving the frontier are O(1) however long the window is, and gaps between offsets do not
 * matter. An offset that arrives late (not higher than one before it: enqueued out of order, or delivered again) goes
 * to a heap. The lowest offset of both is the frontier. Both shrink as they empty: at the end of a claim a window or
 * heap has at most eight times the capacity that it needs, or 64 entries, and an empty tracker has at most the 64 of
 * its window.
 *
 * Finished offsets that are held up by a lower one need no entry each: before the window grows, neighbours become one
 * run, if that leaves it at most half full. So what is finished costs as much as what is not, however much it is; but a
 * tracker that acknowledges `every` offset keeps runs without gaps only, since each of them is claimed in its turn.
 * (One that acknowledges the `latest` does not know where a run begins. So it makes none while it has late offsets, and
 * what arrives late within one is acknowledged before the whole of it, and holds up the whole of it until then.)
 *
 * What leaves the window becomes the claim: offsets that the caller is to acknowledge. A claim whose acknowledgement
 * was cut off is kept and offered again.
 */
#ifndef WORK_SHAPER_CORE_OFFSET_TRACKER_H
#define WORK_SHAPER_CORE_OFFSET_TRACKER_H

#include "item.h"
#include "list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OFFSET_NONE ((int64_t)-1)

struct tracked {
    int64_t offset; /* the last of a run */
    union {
        struct item *item; /* until it is finished */
        uintptr_t run;     /* from then on: how many offsets it stands for, times two, plus one */
    };
};

/*
 * tracked_finished - Whether it is a run, of one offset or more.
 */
static inline bool tracked_finished(struct tracked entry) {
    return entry.run & 1u;
}

struct claim {
    int64_t offset;          /* acknowledge this one, if `due` */
    int64_t repeated_offset; /* the last of the repeated ones */
    uint64_t count;          /* how many received offsets it stands for */
    uint64_t repeated;       /* those of them that were acknowledged before */
    bool due;                /* whether there is an offset to acknowledge, not only repeated ones */
    bool underway;           /* the caller is acknowledging it right now */
};

struct offset_tracker {
    struct tracked *window;     /* a ring of `capacity` (a power of two, or 0) */
    struct tracked *late;       /* a min-heap by offset */
    uint32_t capacity;          /* of the window */
    uint32_t head;              /* sequence number of the window's first */
    uint32_t length;            /* of the window */
    uint32_t late_capacity;     /* of the heap */
    uint32_t late_length;       /* of the heap */
    uint64_t merged;            /* offsets that the runs of the window stand for, besides one for each entry */
    uint32_t waiting;           /* items not started */
    uint32_t running;           /* items started and not finished */
    uint32_t crowded;           /* those of the waiting that are crowded */
    uint64_t received;          /* offsets received in this assignment */
    uint64_t known;             /* those of them that came in finished */
    uint64_t abandoned;         /* those of them that will never be finished */
    uint64_t dropped;           /* those of the abandoned that count as dropped already */
    int64_t given_up;           /* the lowest of the abandoned, or OFFSET_NONE */
    uintptr_t given_up_message; /* its message */
    int64_t highest;            /* the highest received, or OFFSET_NONE */
    int64_t passed;             /* the highest that was claimed, or OFFSET_NONE: never claimed again (I4) */
    int64_t acknowledged;       /* the highest that was acknowledged, or OFFSET_NONE */
    struct claim claim;         /* what was taken off the window and is not settled yet */
    bool revoked;               /* forgotten: nothing of it may be claimed (I6) */
    bool every;                 /* each offset is claimed in its turn, not only the latest */
    bool untracked;             /* keeps no offsets: what is finished is done with, in whatever order */
    struct list moved;          /* its link among the scheduler's trackers that have something to claim */
    int64_t mark;               /* what is unsettled up to it belongs to the checkpoint (scheduler.h); or OFFSET_NONE */
    uint32_t unfinished;        /* items up to the mark that are not finished */
};

/*
 * offset_tracker_init - Makes it empty. It must not move from now on. Allocates nothing.
 *
 * latest: whether a claim takes all that may be acknowledged, not one distinct offset.
 */
void offset_tracker_init(struct offset_tracker *tracker, bool latest);

/*
 * offset_tracker_init_untracked - Makes one that keeps nothing, for callers that need no frontier: there is never
 * anything to claim.
 */
void offset_tracker_init_untracked(struct offset_tracker *tracker);

/*
 * offset_tracker_clear - Frees its memory and forgets every offset, except an underway claim.
 */
void offset_tracker_clear(struct offset_tracker *tracker);

/*
 * offset_tracker_receive - Notes item->offset as received and unfinished, and the item's place.
 *
 * Returns false when there is no memory; the tracker is then as it was.
 */
bool offset_tracker_receive(struct offset_tracker *tracker, struct item *item);

/*
 * offset_tracker_receive_finished - Notes an offset above all that came in as received and finished: it was worked on
 * in another assignment.
 *
 * Returns false when there is no memory; the tracker is then as it was.
 */
bool offset_tracker_receive_finished(struct offset_tracker *tracker, int64_t offset);

/*
 * offset_tracker_finish - Marks the item's offset finished. Does not refer to the item afterwards.
 */
void offset_tracker_finish(struct offset_tracker *tracker, const struct item *item);

/*
 * offset_tracker_abandon - Lets go of the item, but its offset is never finished: the frontier never passes it.
 */
void offset_tracker_abandon(struct offset_tracker *tracker, const struct item *item);

/*
 * offset_tracker_claimable - Whether offset_tracker_claim has something to do. (It still returns NULL when it adds
 * finished offsets to a claim that was cut off, but a lower unfinished offset holds that claim up.)
 */
bool offset_tracker_claimable(const struct offset_tracker *tracker);

/*
 * offset_tracker_claim - Takes finished offsets off the frontier: one distinct offset, or all there are.
 *
 * Returns the claim, underway until offset_tracker_settle or offset_tracker_unclaim; NULL when nothing may be
 * acknowledged.
 */
const struct claim *offset_tracker_claim(struct offset_tracker *tracker);

/*
 * offset_tracker_settle - The underway claim was acknowledged, or (`accepted` false) refused.
 *
 * Returns how many received offsets are thereby done with.
 */
uint64_t offset_tracker_settle(struct offset_tracker *tracker, bool accepted);

/*
 * offset_tracker_unclaim - The acknowledgement was cut off: the claim will be offered again, or (if revoked) is
 * forgotten.
 *
 * Returns how many received offsets are thereby forgotten.
 */
uint64_t offset_tracker_unclaim(struct offset_tracker *tracker);

/*
 * offset_tracker_pending - How many received offsets are neither acknowledged nor in an underway claim.
 */
uint64_t offset_tracker_pending(const struct offset_tracker *tracker);

/*
 * offset_tracker_unsettled - How many received offsets are not acknowledged, those of a claim included.
 */
static inline uint64_t offset_tracker_unsettled(const struct offset_tracker *tracker) {
    return (uint64_t)tracker->length + tracker->merged + tracker->late_length + tracker->claim.count;
}

/*
 * offset_tracker_settled - Whether nothing is unsettled up to an offset: nothing up to it is tracked, nor is there a
 * claim that is not settled. `upto` is the highest received offset or the mark: within a run of finished ones it would
 * not be found. O(1).
 */
bool offset_tracker_settled(const struct offset_tracker *tracker, int64_t upto);

/*
 * offset_tracker_each_unfinished - Visits every item that is unfinished and not abandoned: those in the window in
 * order, then the late ones in no order. O(window and late ones). The callee may abandon items of the tracker, even
 * ones that were not visited yet, which are then skipped.
 */
void offset_tracker_each_unfinished(const struct offset_tracker *tracker, void (*visit)(struct item *item, void *data),
                                    void *data);

/*
 * offset_tracker_oldest - The lowest unfinished offset. O(what is finished below it and not claimed, and late ones).
 *
 * Returns NULL when everything is finished; an entry whose item is offset_tracker_abandoned when it was abandoned.
 */
const struct tracked *offset_tracker_oldest(const struct offset_tracker *tracker);

/*
 * offset_tracker_each_run - Visits what is finished beyond the lowest unfinished offset, as ranges in ascending order,
 * until the callee returns false: for those who keep what need not be worked on again. A range begins right above what
 * is before it, and may hold offsets that were never received; it never holds one that is unfinished or abandoned. What
 * is finished above a late unfinished offset is left out, and so is what arrived late. O(window and late ones).
 */
void offset_tracker_each_run(const struct offset_tracker *tracker,
                             bool (*visit)(int64_t first, int64_t last, void *data), void *data);

/*
 * offset_tracker_finished_here - How many offsets were finished, without those that came in finished. O(1).
 */
static inline uint64_t offset_tracker_finished_here(const struct offset_tracker *tracker) {
    return tracker->received - tracker->known - tracker->abandoned - tracker->waiting - tracker->running;
}

/*
 * offset_tracker_finished_above - How many offsets of the window above one that is unfinished are finished. O(window).
 */
uint64_t offset_tracker_finished_above(const struct offset_tracker *tracker, int64_t offset);

/*
 * offset_tracker_highest_finished - The highest offset that was finished, acknowledged or not, or OFFSET_NONE. O(what
 * is above it, and late ones).
 */
int64_t offset_tracker_highest_finished(const struct offset_tracker *tracker);

/*
 * offset_tracker_bytes - How many bytes it has allocated.
 */
size_t offset_tracker_bytes(const struct offset_tracker *tracker);

/* Stands for the item of an offset that was abandoned. */
extern struct item offset_tracker_abandoned;

#endif
