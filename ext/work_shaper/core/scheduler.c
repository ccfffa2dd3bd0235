#include "scheduler.h"

#include <stddef.h>

void scheduler_init(struct scheduler *scheduler, uint32_t max_in_queue, uint32_t max_in_flight) {
    *scheduler = (struct scheduler){.max_in_queue = max_in_queue, .max_in_flight = max_in_flight};
    pool_init(&scheduler->items, sizeof(struct item));
}

/* The list of arrivals */

static void arrivals_append(struct scheduler *scheduler, struct item *item) {
    item->next = NULL;
    if (scheduler->last_arrival) {
        scheduler->last_arrival->next = item;
    } else {
        scheduler->first_arrival = item;
    }
    scheduler->last_arrival = item;
}

static struct item *arrivals_shift(struct scheduler *scheduler) {
    struct item *item = scheduler->first_arrival;
    scheduler->first_arrival = item->next;
    if (!scheduler->first_arrival) {
        scheduler->last_arrival = NULL;
    }
    return item;
}

/* The end of everything */

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
    while (scheduler->first_arrival) {
        pool_release(&scheduler->items, arrivals_shift(scheduler));
    }
    pool_destroy(&scheduler->items);
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

/* What is counted of an item */

static void start_waiting(struct scheduler *scheduler, const struct item *item) {
    scheduler->ready += !item->queue->waiting && !item->queue->running;
    item->queue->waiting++;
    item->tracker->waiting++;
    scheduler->waiting++;
}

static void stop_waiting(struct scheduler *scheduler, const struct item *item) {
    item->queue->waiting--;
    item->tracker->waiting--;
    scheduler->waiting--;
    scheduler->ready -= !item->queue->waiting && !item->queue->running;
}

static void start_running(struct scheduler *scheduler, struct item *item) {
    scheduler->ready -= sub_key_queue_ready(item->queue);
    item->queue->running = item;
    item->tracker->running++;
    scheduler->running++;
}

static void stop_running(struct scheduler *scheduler, const struct item *item) {
    item->queue->running = NULL;
    item->tracker->running--;
    scheduler->running--;
    scheduler->ready += sub_key_queue_ready(item->queue);
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
    arrivals_append(scheduler, item);
    start_waiting(scheduler, item);
    scheduler->in_flight++;
    scheduler->total_enqueued++;
    return true;
}

bool scheduler_ready(const struct scheduler *scheduler) {
    return scheduler->ready > 0;
}

bool scheduler_ready_many(const struct scheduler *scheduler) {
    return scheduler->ready > 1;
}

/* Whether the queue has something that was passed over and may start: whether it belongs into the ready heap. */
static bool passed(const struct sub_key_queue *queue) {
    return queue->first && !queue->running;
}

/* Takes out the oldest item whose sub key is free; there is one. */
static struct item *shift_oldest(struct scheduler *scheduler) {
    struct sub_key_queue *queue = scheduler->passed.top;
    if (queue) {
        ready_heap_remove(&scheduler->passed, queue);
        return sub_key_queue_shift(queue);
    }
    struct item *item = arrivals_shift(scheduler);
    while (item->queue->running) {
        sub_key_queue_push(item->queue, item);
        item = arrivals_shift(scheduler);
    }
    return item;
}

struct item *scheduler_take(struct scheduler *scheduler) {
    if (!scheduler->ready) {
        return NULL;
    }
    struct item *item = shift_oldest(scheduler);
    stop_waiting(scheduler, item);
    start_running(scheduler, item);
    return item;
}

void scheduler_queue_up(struct scheduler *scheduler) {
    while (scheduler->first_arrival) {
        struct item *item = arrivals_shift(scheduler);
        struct sub_key_queue *queue = item->queue;
        bool first = !queue->first;
        sub_key_queue_push(queue, item);
        if (first && passed(queue)) {
            ready_heap_add(&scheduler->passed, queue);
        }
    }
}

void scheduler_finish(struct scheduler *scheduler, struct item *item) {
    struct offset_tracker *tracker = item->tracker;
    struct sub_key_queue *queue = item->queue;
    if (!tracker->revoked) {
        offset_tracker_finish(tracker, item);
        moved_update(scheduler, tracker);
    }
    stop_running(scheduler, item);
    pool_release(&scheduler->items, item);
    if (queue->first) {
        ready_heap_add(&scheduler->passed, queue);
    }
}

/* Ends an item whose offset is never to be acknowledged, unless its tracker was revoked and does not care. */
static void leave_unfinished(struct scheduler *scheduler, struct item *item) {
    if (!item->tracker->revoked) {
        offset_tracker_abandon(item->tracker, item);
    }
    pool_release(&scheduler->items, item);
}

/* Takes out and ends all that waits on a queue that is not in the ready heap, and not among the arrivals. */
static void abandon_waiting(struct scheduler *scheduler, struct sub_key_queue *queue) {
    while (queue->first) {
        struct item *item = sub_key_queue_shift(queue);
        stop_waiting(scheduler, item);
        leave_unfinished(scheduler, item);
    }
}

void scheduler_abandon(struct scheduler *scheduler, struct item *item) {
    struct sub_key_queue *queue = item->queue;
    scheduler_queue_up(scheduler);
    stop_running(scheduler, item);
    leave_unfinished(scheduler, item);
    abandon_waiting(scheduler, queue);
}

uint32_t scheduler_drop_waiting(struct scheduler *scheduler, struct sub_key_queue *queue) {
    uint32_t dropped = queue->waiting;
    scheduler_queue_up(scheduler);
    if (passed(queue)) {
        ready_heap_remove(&scheduler->passed, queue);
    }
    for (const struct item *item = queue->first; item; item = item->next) {
        item->tracker->dropped++;
    }
    abandon_waiting(scheduler, queue);
    scheduler->total_dropped += dropped;
    return dropped;
}

/* Revoking */

void scheduler_drop(struct scheduler *scheduler, struct sub_key_queue *queue, const struct offset_tracker *tracker) {
    scheduler_queue_up(scheduler);
    if (passed(queue)) {
        ready_heap_remove(&scheduler->passed, queue); /* its place there is that of its first item */
    }
    struct item *item = sub_key_queue_extract(queue, tracker);
    while (item) {
        struct item *next = item->next;
        stop_waiting(scheduler, item);
        pool_release(&scheduler->items, item);
        item = next;
    }
    if (passed(queue)) {
        ready_heap_add(&scheduler->passed, queue);
    }
}

void scheduler_revoke(struct scheduler *scheduler, struct offset_tracker *tracker) {
    uint64_t forgotten = offset_tracker_pending(tracker);
    offset_tracker_clear(tracker);
    tracker->revoked = true;
    if (tracker->moved) {
        moved_remove(scheduler, tracker);
    }
    scheduler->in_flight -= forgotten;
    scheduler->total_dropped += forgotten - tracker->dropped;
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
