#include "scheduler.h"

#include <stddef.h>

void scheduler_init(struct scheduler *scheduler, uint32_t max_in_queue, uint32_t max_in_flight) {
    *scheduler = (struct scheduler){.max_in_queue = max_in_queue, .max_in_flight = max_in_flight};
    pool_init(&scheduler->items, sizeof(struct item));
}

void scheduler_discard(struct scheduler *scheduler, struct sub_key_queue *queue) {
    struct item *item = queue->first;
    while (item) {
        struct item *next = item->next;
        pool_release(&scheduler->items, item);
        item = next;
    }
    if (queue->running) {
        pool_release(&scheduler->items, queue->running);
    }
    sub_key_queue_init(queue);
}

void scheduler_destroy(struct scheduler *scheduler) {
    pool_destroy(&scheduler->items);
}

/* The list of ready queues */

static void ready_append(struct scheduler *scheduler, struct sub_key_queue *queue) {
    queue->ready = true;
    queue->next_ready = NULL;
    queue->previous_ready = scheduler->last_ready;
    if (scheduler->last_ready) {
        scheduler->last_ready->next_ready = queue;
    } else {
        scheduler->first_ready = queue;
    }
    scheduler->last_ready = queue;
}

static void ready_remove(struct scheduler *scheduler, struct sub_key_queue *queue) {
    if (queue->previous_ready) {
        queue->previous_ready->next_ready = queue->next_ready;
    } else {
        scheduler->first_ready = queue->next_ready;
    }
    if (queue->next_ready) {
        queue->next_ready->previous_ready = queue->previous_ready;
    } else {
        scheduler->last_ready = queue->previous_ready;
    }
    queue->ready = false;
}

/* Puts a queue on the list, or takes it off, as its state asks. */
static void ready_update(struct scheduler *scheduler, struct sub_key_queue *queue) {
    bool ready = queue->first && !queue->running;
    if (ready && !queue->ready) {
        ready_append(scheduler, queue);
    } else if (!ready && queue->ready) {
        ready_remove(scheduler, queue);
    }
}

/* The list of trackers that have something to claim */

static void moved_append(struct scheduler *scheduler, struct offset_tracker *tracker) {
    tracker->moved = true;
    tracker->next_moved = NULL;
    tracker->previous_moved = scheduler->last_moved;
    if (scheduler->last_moved) {
        scheduler->last_moved->next_moved = tracker;
    } else {
        scheduler->first_moved = tracker;
    }
    scheduler->last_moved = tracker;
}

static void moved_remove(struct scheduler *scheduler, struct offset_tracker *tracker) {
    if (tracker->previous_moved) {
        tracker->previous_moved->next_moved = tracker->next_moved;
    } else {
        scheduler->first_moved = tracker->next_moved;
    }
    if (tracker->next_moved) {
        tracker->next_moved->previous_moved = tracker->previous_moved;
    } else {
        scheduler->last_moved = tracker->previous_moved;
    }
    tracker->moved = false;
}

static void moved_update(struct scheduler *scheduler, struct offset_tracker *tracker) {
    if (!tracker->moved && offset_tracker_claimable(tracker)) {
        moved_append(scheduler, tracker);
    }
}

/* The way of an item */

enum room scheduler_room(const struct scheduler *scheduler, const struct sub_key_queue *queue) {
    if (queue && queue->waiting >= scheduler->max_in_queue) {
        return SUB_KEY_FULL;
    }
    return scheduler->in_flight >= scheduler->max_in_flight ? FLIGHT_FULL : ROOM;
}

bool scheduler_offer(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                     uintptr_t message, int64_t offset, uint32_t now) {
    struct item *item = pool_acquire(&scheduler->items);
    if (!item) {
        return false;
    }
    item->queue = queue;
    item->tracker = tracker;
    item->message = message;
    item->offset = offset;
    item->sequence = scheduler->total_enqueued;
    item->received_at = now;
    if (!offset_tracker_receive(tracker, item)) {
        pool_release(&scheduler->items, item);
        return false;
    }
    tracker->waiting++;
    sub_key_queue_push(queue, item);
    ready_update(scheduler, queue);
    scheduler->waiting++;
    scheduler->in_flight++;
    scheduler->total_enqueued++;
    return true;
}

bool scheduler_ready(const struct scheduler *scheduler) {
    return scheduler->first_ready != NULL;
}

/* Counts an item out that was taken out of its queue. */
static void stop_waiting(struct scheduler *scheduler, const struct item *item) {
    item->tracker->waiting--;
    scheduler->waiting--;
}

struct item *scheduler_take(struct scheduler *scheduler) {
    struct sub_key_queue *queue = scheduler->first_ready;
    if (!queue) {
        return NULL;
    }
    struct item *item = sub_key_queue_shift(queue);
    ready_remove(scheduler, queue);
    stop_waiting(scheduler, item);
    queue->running = item;
    item->tracker->running++;
    scheduler->running++;
    return item;
}

/* Ends the running of an item and frees it. */
static void stop_running(struct scheduler *scheduler, struct item *item) {
    item->queue->running = NULL;
    item->tracker->running--;
    scheduler->running--;
    pool_release(&scheduler->items, item);
}

void scheduler_finish(struct scheduler *scheduler, struct item *item) {
    struct offset_tracker *tracker = item->tracker;
    struct sub_key_queue *queue = item->queue;
    if (!tracker->revoked) {
        offset_tracker_finish(tracker, item);
        moved_update(scheduler, tracker);
    }
    stop_running(scheduler, item);
    ready_update(scheduler, queue);
}

static void leave_unfinished(struct item *item) {
    if (!item->tracker->revoked) {
        offset_tracker_abandon(item->tracker, item);
    }
}

void scheduler_abandon(struct scheduler *scheduler, struct item *item) {
    struct sub_key_queue *queue = item->queue;
    leave_unfinished(item);
    stop_running(scheduler, item);
    while (queue->first) {
        struct item *behind = sub_key_queue_shift(queue);
        leave_unfinished(behind);
        stop_waiting(scheduler, behind);
        pool_release(&scheduler->items, behind);
    }
}

/* Revoking */

void scheduler_drop(struct scheduler *scheduler, struct sub_key_queue *queue, const struct offset_tracker *tracker) {
    struct item *item = sub_key_queue_extract(queue, tracker);
    while (item) {
        struct item *next = item->next;
        stop_waiting(scheduler, item);
        pool_release(&scheduler->items, item);
        item = next;
    }
    ready_update(scheduler, queue);
}

void scheduler_revoke(struct scheduler *scheduler, struct offset_tracker *tracker) {
    uint64_t forgotten = offset_tracker_pending(tracker);
    offset_tracker_clear(tracker);
    tracker->revoked = true;
    if (tracker->moved) {
        moved_remove(scheduler, tracker);
    }
    scheduler->in_flight -= forgotten;
    scheduler->total_dropped += forgotten;
}

/* Acknowledging */

struct offset_tracker *scheduler_moved(struct scheduler *scheduler) {
    struct offset_tracker *tracker = scheduler->first_moved;
    if (tracker) {
        moved_remove(scheduler, tracker);
    }
    return tracker;
}

void scheduler_settle(struct scheduler *scheduler, struct offset_tracker *tracker, bool accepted) {
    uint64_t settled = offset_tracker_settle(tracker, accepted);
    scheduler->in_flight -= settled;
    scheduler->total_acknowledged += settled;
    scheduler->total_refused += accepted ? 0 : settled;
    moved_update(scheduler, tracker);
}

void scheduler_unclaim(struct scheduler *scheduler, struct offset_tracker *tracker) {
    offset_tracker_unclaim(tracker);
    moved_update(scheduler, tracker);
}

uint64_t scheduler_finished(const struct scheduler *scheduler) {
    uint64_t unfinished = (uint64_t)scheduler->waiting + scheduler->running;
    return scheduler->in_flight > unfinished ? scheduler->in_flight - unfinished : 0;
}
