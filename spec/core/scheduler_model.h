/*
 * scheduler_model - the naive model that test_scheduler compares the scheduler with, and the checks of one against the
 * other.
 */
#ifndef WORK_SHAPER_SPEC_SCHEDULER_MODEL_H
#define WORK_SHAPER_SPEC_SCHEDULER_MODEL_H

#include "check.h"
#include "core/scheduler.h"

#include <string.h>

#define QUEUES 6
#define TRACKERS 3
#define MOST 500

/* The naive model: each message with its sub key, partition and fate, in the order of enqueue. */
enum fate {
    WAITING,
    RUNNING,
    FINISHED,
    ABANDONED,
    DROPPED,
    FENCED,
    LEFT /* by drop_waiting: dropped, and unfinished for good */
};

struct message {
    int queue; /* -1: it came in finished, without one */
    const struct offset_tracker *tracker;
    int64_t offset;
    enum fate fate;
    bool claimed, settled;
    uint64_t not_before; /* 0: it was not tried yet */
    bool exempt;         /* from being held, since then */
    bool crowded;        /* it came when max_in_queue waited on its sub key, and waits */
    bool rests;          /* until then, and until scheduler_advance was told so */
    struct item *item;   /* while it runs */
};

static struct scheduler scheduler;
static struct sub_key_queue queues[QUEUES];
static struct offset_tracker assigned[MOST];      /* the trackers of all assignments, one after the other */
static struct offset_tracker *trackers[TRACKERS]; /* those of them that are not revoked */
static struct offset_tracker *acknowledging;      /* whose claim is underway, perhaps a revoked one's; or NULL */
/* What the lists of trackers should be: the pass, and the next. */
static struct offset_tracker *listed[2][TRACKERS + 1];
static int assignments;
static int64_t mark[MOST]; /* of each assignment, for the checkpoint: raised, never taken off; or OFFSET_NONE */
static struct message messages[MOST];
static int enqueued;
static int64_t next_offset[TRACKERS];
static uint64_t now;
static bool held;
static uint64_t next_probe, probe_period;
static bool probe_due;
static int probed; /* the message that was probed last, or -1 */
static uint64_t tries;
static bool stuck; /* the first message that starts is not finished before the end, and most are of its partition */

static void assign(int partition) {
    mark[assignments] = OFFSET_NONE;
    trackers[partition] = &assigned[assignments++];
    offset_tracker_init(trackers[partition], random_below(2));
    next_offset[partition] = 0;
}

static void begin(uint32_t max_in_queue, uint32_t max_in_flight) {
    scheduler_init(&scheduler, max_in_queue, max_in_flight);
    for (int i = 0; i < QUEUES; i++) {
        sub_key_queue_init(&queues[i]);
    }
    assignments = enqueued = 0;
    now = 1000;
    held = probe_due = false;
    tries = 0;
    acknowledging = NULL;
    stuck = false;
    memset(listed, 0, sizeof listed);
    for (int i = 0; i < TRACKERS; i++) {
        assign(i);
    }
}

static void end(void) {
    for (int i = 0; i < QUEUES; i++) {
        scheduler_discard(&scheduler, &queues[i]);
    }
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_clear(trackers[i]);
    }
    scheduler_destroy(&scheduler);
    CHECK(pool_bytes(&scheduler.items) == 0);
}

static int count(enum fate fate, int queue) {
    int found = 0;
    for (int i = 0; i < enqueued; i++) {
        found += messages[i].fate == fate && (queue < 0 || messages[i].queue == queue);
    }
    return found;
}

/* Whether a waiting message may start: nothing of its sub key runs, and none that rests is before it. */
static bool may_start(int index) {
    int queue = messages[index].queue;
    for (int i = 0; i < index; i++) {
        if (messages[i].queue == queue && messages[i].fate == WAITING) {
            return false;
        }
    }
    return messages[index].fate == WAITING && !messages[index].rests && !count(RUNNING, queue) && /* I1 */
           !count(FENCED, queue);
}

/* The oldest message after another (-1: of all) that may start, word for word; or -1. */
static int oldest_after(int index) {
    for (int i = index + 1; i < enqueued; i++) {
        if (may_start(i)) {
            return i;
        }
    }
    return -1;
}

/* The oldest of those that are exempt; or -1. */
static int oldest_exempt(void) {
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].exempt && may_start(i)) {
            return i;
        }
    }
    return -1;
}

/* What starts next; or -1. */
static int next_to_start(void) {
    int exempt = oldest_exempt();
    if (exempt >= 0) {
        return exempt;
    }
    if (!held) {
        return oldest_after(-1);
    }
    if (!probe_due) {
        return -1;
    }
    int next = oldest_after(probed);
    return next < 0 ? oldest_after(-1) : next;
}

static int random_running(void) {
    int start = enqueued ? (int)random_below((uint32_t)enqueued) : 0;
    for (int i = 0; i < enqueued; i++) {
        int index = (start + i) % enqueued;
        if ((messages[index].fate == RUNNING || messages[index].fate == FENCED) && !(stuck && index == 0)) {
            return index;
        }
    }
    return -1;
}

static int waiting_of(const struct offset_tracker *tracker, int queue) {
    int found = 0;
    for (int i = 0; i < enqueued; i++) {
        found += messages[i].tracker == tracker && messages[i].queue == queue && messages[i].fate == WAITING;
    }
    return found;
}

static void mark_revoked(const struct offset_tracker *tracker) {
    for (int i = 0; i < enqueued; i++) {
        enum fate *fate = &messages[i].fate;
        if (messages[i].tracker == tracker) {
            *fate = *fate == RUNNING || *fate == FENCED ? FENCED : DROPPED;
        }
    }
}

/* Brings one list of the model up to date: who has nothing to claim any more goes. */
static void unlist(struct offset_tracker **list) {
    int length = 0;
    for (int i = 0; i < TRACKERS; i++) {
        struct offset_tracker *tracker = list[i];
        list[i] = NULL;
        if (tracker && offset_tracker_claimable(tracker)) {
            list[length++] = tracker;
        }
    }
}

static bool is_listed(const struct offset_tracker *tracker) {
    bool found = false;
    for (int i = 0; i < TRACKERS; i++) {
        found |= listed[0][i] == tracker || listed[1][i] == tracker;
    }
    return found;
}

static void check_list(const struct list *list, struct offset_tracker **expected) {
    const struct list *link;
    int length = 0;
    list_each(link, list) {
        CHECK(length < TRACKERS && LIST_ENTRY(link, struct offset_tracker, moved) == expected[length]);
        length++;
    }
    CHECK(length == TRACKERS || !expected[length]);
}

/* Whoever has something to claim is in the pass or the next, in the order in which they came to have it. */
static void check_passes(void) {
    unlist(listed[0]);
    unlist(listed[1]);
    for (int i = 0; i < TRACKERS; i++) {
        int length = 0;
        while (listed[1][length]) {
            length++;
        }
        if (offset_tracker_claimable(trackers[i]) && !is_listed(trackers[i])) {
            listed[1][length] = trackers[i];
        }
    }
    check_list(&scheduler.pass, listed[0]);
    check_list(&scheduler.moved, listed[1]);
    CHECK(scheduler_claimable(&scheduler) == (listed[0][0] || listed[1][0]));
}

/* Each offset is acknowledged, dropped or in flight; in two of these only what drop_waiting left. */
static void check_in_flight(void) {
    uint64_t in_flight = 0, left = 0;
    for (int i = 0; i < TRACKERS; i++) {
        in_flight += offset_tracker_pending(trackers[i]);
        left += trackers[i]->dropped;
    }
    if (acknowledging) {
        in_flight += acknowledging->claim.count;
    }
    CHECK(scheduler.in_flight == in_flight);
    CHECK(left == (uint64_t)count(LEFT, -1));
    CHECK(scheduler.total_enqueued + left ==
          scheduler.total_acknowledged + scheduler.total_dropped + scheduler.in_flight);
}

/* Notes what is claimed: all that is finished with nothing unfinished up to it, but perhaps one at a time. */
static void note_claimed(const struct offset_tracker *tracker) {
    const struct claim *claim = &tracker->claim;
    int64_t upto = !tracker->every || !claim->due ? INT64_MAX : claim->offset;
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].tracker == tracker && messages[i].fate != FINISHED && messages[i].offset <= upto) {
            upto = messages[i].offset - 1;
        }
    }
    uint64_t claimed = 0;
    for (int i = 0; i < enqueued; i++) {
        struct message *message = &messages[i];
        if (message->tracker == tracker && !message->settled) {
            message->claimed |= message->offset <= upto;
            claimed += message->claimed;
        }
    }
    CHECK(claimed == claim->count);
}

static void note_settled(const struct offset_tracker *tracker) {
    for (int i = 0; i < enqueued; i++) {
        messages[i].settled |= messages[i].tracker == tracker && messages[i].claimed;
    }
}

/* Whether something of the tracker up to an offset is unsettled, word for word. */
static bool unsettled(const struct offset_tracker *tracker, int64_t upto) {
    bool found = false;
    for (int i = 0; i < enqueued; i++) {
        found |= messages[i].tracker == tracker && messages[i].offset <= upto && !messages[i].settled;
    }
    return found;
}

/* Word for word: of what is claimed, too. */
static int64_t highest_finished(const struct offset_tracker *tracker) {
    int64_t highest = OFFSET_NONE;
    for (int i = 0; i < enqueued; i++) {
        bool finished = messages[i].tracker == tracker && messages[i].fate == FINISHED;
        highest = finished && messages[i].offset > highest ? messages[i].offset : highest;
    }
    return highest;
}

/* What belongs to the checkpoint and is not finished. */
static uint32_t marked_unfinished(void) {
    uint32_t found = 0;
    for (int i = 0; i < enqueued; i++) {
        bool unfinished = messages[i].fate == WAITING || messages[i].fate == RUNNING;
        found += unfinished && messages[i].offset <= mark[messages[i].tracker - assigned];
    }
    return found;
}

static void check_crowded(void) {
    uint32_t found[MOST] = {0}, all = 0;
    for (int i = 0; i < enqueued; i++) {
        bool crowded = messages[i].fate == WAITING && messages[i].crowded;
        found[messages[i].tracker - assigned] += crowded;
        all += crowded;
    }
    CHECK(scheduler.crowded == all);
    for (int i = 0; i < assignments; i++) {
        CHECK(assigned[i].crowded == found[i]);
    }
}

/* What the model's marks say of each partition. A mark that was reached counts for nothing until it is raised. */
static void check_marks(void) {
    uint32_t marked = 0;
    for (int i = 0; i < TRACKERS; i++) {
        int64_t *due = &mark[trackers[i] - assigned];
        if (!unsettled(trackers[i], *due)) {
            *due = OFFSET_NONE;
        }
        marked += *due != OFFSET_NONE;
        CHECK(trackers[i]->mark == *due);
    }
    CHECK(scheduler.marked == marked);
    CHECK(scheduler.marked_unfinished == marked_unfinished());
}

/* Whether what runs or waits first on a queue was tried before. */
static bool tried(int queue) {
    bool found = false;
    for (int i = 0; i < enqueued; i++) {
        enum fate fate = messages[i].fate;
        found |= messages[i].queue == queue && messages[i].not_before &&
                 (fate == WAITING || fate == RUNNING || fate == FENCED);
    }
    return found;
}

static int retrying(void) {
    int found = 0;
    for (int i = 0; i < enqueued; i++) {
        found += messages[i].fate == WAITING && messages[i].not_before;
    }
    return found;
}

static void check_counters(void) {
    CHECK((int)scheduler.waiting == count(WAITING, -1));
    CHECK((int)scheduler.running == count(RUNNING, -1) + count(FENCED, -1));
    check_in_flight();
    check_crowded();
    check_marks();
    CHECK((int)scheduler.fenced == count(FENCED, -1));
    CHECK((int)scheduler_unfinished(&scheduler) == count(WAITING, -1) + count(RUNNING, -1));
    CHECK(scheduler_unfinished(&scheduler) <= scheduler.max_in_flight); /* I7 */
    int ready = 0;
    uint64_t next_time = held ? next_probe : SCHEDULER_NEVER;
    for (int queue = 0; queue < QUEUES; queue++) {
        CHECK((int)queues[queue].waiting == count(WAITING, queue));
        CHECK(sub_key_queue_idle(&queues[queue]) == (!queues[queue].waiting && !queues[queue].running));
        const struct item *first = queues[queue].running ? NULL : queues[queue].first;
        const struct message *head = first ? &messages[first->message] : NULL;
        bool rests = head && head->rests;
        CHECK(rests == queues[queue].resting);
        if (rests && head->not_before < next_time) {
            next_time = head->not_before;
        }
        CHECK(queues[queue].tried == tried(queue));
        ready += queues[queue].waiting && !queues[queue].running && !rests;
        CHECK(queues[queue].node.rank == (rests ? head->not_before : first ? first->sequence + 1 : 0));
    }
    CHECK((int)scheduler.ready == ready && (int)scheduler.retrying == retrying() && scheduler.held == held);
    CHECK(scheduler_ready(&scheduler) == (ready > 0 && (!held || probe_due || oldest_exempt() >= 0)));
    CHECK(scheduler_next_time(&scheduler) == next_time);
    CHECK(scheduler.total_tries == tries);
}

#endif
