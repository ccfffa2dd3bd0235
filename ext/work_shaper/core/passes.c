/* The half of the scheduler that is about what may be acknowledged: checkpoints and passes. */
#include "scheduler.h"

#include <stddef.h>

/* The checkpoint */

void scheduler_unmark(struct scheduler *scheduler, struct offset_tracker *tracker) {
    scheduler->marked -= tracker->mark != OFFSET_NONE;
    scheduler->marked_unfinished -= tracker->unfinished;
    tracker->mark = OFFSET_NONE;
    tracker->unfinished = 0;
}

void scheduler_mark(struct scheduler *scheduler, struct offset_tracker *tracker) {
    if (tracker->revoked || offset_tracker_settled(tracker, tracker->highest)) {
        return;
    }
    scheduler->marked += tracker->mark == OFFSET_NONE;
    scheduler->marked_unfinished -= tracker->unfinished;
    tracker->mark = tracker->highest;
    tracker->unfinished = tracker->waiting + tracker->running;
    scheduler->marked_unfinished += tracker->unfinished;
}

void scheduler_follow_up(struct scheduler *scheduler, const struct offset_tracker *cause, int64_t offset,
                         struct offset_tracker *tracker) {
    if (offset <= cause->mark) {
        scheduler_mark(scheduler, tracker);
    }
}

/* Acknowledging */

void scheduler_begin_pass(struct scheduler *scheduler) {
    list_splice(&scheduler->pass, &scheduler->moved);
}

struct offset_tracker *scheduler_next_in_pass(struct scheduler *scheduler) {
    struct list *first = list_first(&scheduler->pass);
    if (!first) {
        return NULL;
    }
    list_remove(first);
    return LIST_ENTRY(first, struct offset_tracker, moved);
}

void scheduler_settle(struct scheduler *scheduler, struct offset_tracker *tracker, bool accepted) {
    uint64_t settled = offset_tracker_settle(tracker, accepted);
    scheduler->in_flight -= settled;
    scheduler->total_acknowledged += settled;
    scheduler->total_refused += accepted ? 0 : settled;
    if (tracker->mark != OFFSET_NONE && offset_tracker_settled(tracker, tracker->mark)) {
        scheduler_unmark(scheduler, tracker);
    }
    scheduler_update_moved(scheduler, tracker);
}

void scheduler_unclaim(struct scheduler *scheduler, struct offset_tracker *tracker) {
    uint64_t forgotten = offset_tracker_unclaim(tracker);
    scheduler->in_flight -= forgotten;
    scheduler->total_dropped += forgotten;
    scheduler_update_moved(scheduler, tracker);
}
