#include "scheduler.h"

#include <stddef.h>

void scheduler_init(struct scheduler *scheduler, uint32_t max_in_queue, uint32_t max_in_flight) {
    *scheduler =
        (struct scheduler){.max_in_queue = max_in_queue, .max_in_flight = max_in_flight, .max_finished = MOST_FINISHED};
    pool_init(&scheduler->items, sizeof(struct item));
    list_init(&scheduler->pass);
    list_init(&scheduler->moved);
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

/* Counting items */

static void start_waiting(struct scheduler *scheduler, const struct item *item) {
    item->queue->waiting++;
    item->tracker->waiting++;
    scheduler->waiting++;
}

/* One item more (or less) is unfinished. */
static void count_unfinished(struct scheduler *scheduler, const struct item *item, int change) {
    if (item->offset <= item->tracker->mark) {
        item->tracker->unfinished += change;
        scheduler->marked_unfinished += change;
    }
}

/* Kept apart from stop_waiting: hardly any item is. */
static void count_crowded(struct scheduler *scheduler, struct item *item, bool crowded) {
    item->crowded = crowded;
    item->tracker->crowded += crowded ? 1 : -1;
    scheduler->crowded += crowded ? 1 : -1;
}

static inline void stop_waiting(struct scheduler *scheduler, struct item *item) {
    if (item->crowded) {
        count_crowded(scheduler, item, false);
    }
    item->queue->waiting--;
    item->tracker->waiting--;
    scheduler->waiting--;
}

static void start_running(struct scheduler *scheduler, struct item *item) {
    item->queue->running = item;
    item->tracker->running++;
    scheduler->running++;
}

static void stop_running(struct scheduler *scheduler, const struct item *item) {
    item->queue->running = NULL;
    item->tracker->running--;
    scheduler->running--;
    scheduler->fenced -= item->tracker->revoked;
}

/* The item is over: finished, or never to be. Its tracker may be revoked. */
static void end_item(struct scheduler *scheduler, struct item *item) {
    if (scheduler->over) {
        scheduler->over(item, scheduler->over_data);
    }
    pool_release(&scheduler->items, item);
}

/* Where a queue belongs */

/* Kept apart from update_queue, which rarely needs it. */
static void move_in_heap(struct scheduler *scheduler, struct sub_key_queue *queue, uint64_t rank) {
    struct heap *heap = queue->exempt ? &scheduler->exempt : &scheduler->passed;
    if (queue->node.rank) {
        heap_remove(heap, &queue->node);
    }
    if (rank) {
        heap_add(heap, &queue->node, rank);
    }
}

/* Brings the heap of the passed and the count of ready queues in line with a queue. Called after every change of one
 * that does not rest. */
static inline void update_queue(struct scheduler *scheduler, struct sub_key_queue *queue) {
    bool ready = queue->waiting && !queue->running && !queue->resting;
    if (ready != queue->ready) {
        queue->ready = ready;
        scheduler->ready += ready ? 1 : -1;
    }
    /* 0: it does not belong there, since nothing of it was passed over, or something runs. */
    uint64_t rank = ready && queue->first ? queue->first->sequence + 1 : 0;
    if (rank != queue->node.rank && !queue->resting) {
        move_in_heap(scheduler, queue, rank);
    }
}

/* Resting */

static void begin_rest(struct scheduler *scheduler, struct sub_key_queue *queue, uint64_t until) {
    queue->resting = true;
    heap_add(&scheduler->times, &queue->node, until);
}

static void end_rest(struct scheduler *scheduler, struct sub_key_queue *queue) {
    heap_remove(&scheduler->times, &queue->node);
    queue->resting = false;
}

/* What ran is over. */
static void forget_run(struct sub_key_queue *queue) {
    queue->tried = queue->exempt = queue->probing = false;
}

/* What waits and was tried before is gone, or about to be. The caller updates the queue. */
static void forget_tried(struct scheduler *scheduler, struct sub_key_queue *queue) {
    if (queue->resting) {
        end_rest(scheduler, queue);
    } else if (queue->node.rank) {
        move_in_heap(scheduler, queue, 0); /* it may be in the heap of the exempt */
    }
    scheduler->retrying -= queue->tried;
    queue->tried = queue->exempt = false;
}

/* Puts the arrivals into the queues of their sub keys, for functions that need all that waits there; changes nothing
 * about what is taken when. Each item is moved only once, so that O(arrivals) is paid for by their offers. */
static void queue_up(struct scheduler *scheduler) {
    while (scheduler->first_arrival) {
        struct item *item = arrivals_shift(scheduler);
        sub_key_queue_push(item->queue, item);
        update_queue(scheduler, item->queue);
    }
}

/* The life of an item */

enum room_left scheduler_room(const struct scheduler *scheduler, const struct sub_key_queue *queue, uint32_t ahead) {
    if (queue && queue->waiting >= scheduler->max_in_queue) {
        return SUB_KEY_FULL;
    }
    if ((uint64_t)scheduler_unfinished(scheduler) + ahead >= scheduler->max_in_flight) {
        return FLIGHT_FULL;
    }
    return scheduler_finished(scheduler) + ahead >= scheduler->max_finished ? BACKLOG_FULL : ROOM;
}

/* How many bits of a sequence number say how many came before; the others are the precedence. */
#define SEQUENCE_BITS 44u

static bool offer(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                  uintptr_t message, int64_t offset, uint32_t now, uint64_t precedence) {
    struct item *item = pool_acquire(&scheduler->items);
    if (!item) {
        return false;
    }
    item->queue = queue;
    item->tracker = tracker;
    item->message = message;
    item->offset = offset;
    item->sequence = precedence << SEQUENCE_BITS | scheduler->total_enqueued;
    item->received_at = now;
    item->late = item->crowded = 0;
    if (!tracker->untracked && !offset_tracker_receive(tracker, item)) {
        pool_release(&scheduler->items, item);
        return false;
    }
    if (item->late && !offset_tracker_claimable(tracker)) {
        list_remove(&tracker->moved); /* what it had to claim is above this offset */
    }
    if (queue->waiting >= scheduler->max_in_queue) {
        count_crowded(scheduler, item, true);
    }
    count_unfinished(scheduler, item, 1);
    if (scheduler->ranked) {
        sub_key_queue_push(queue, item);
    } else {
        arrivals_append(scheduler, item);
    }
    start_waiting(scheduler, item);
    update_queue(scheduler, queue);
    scheduler->in_flight++;
    scheduler->total_enqueued++;
    return true;
}

bool scheduler_offer(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                     uintptr_t message, int64_t offset, uint32_t now) {
    return offer(scheduler, queue, tracker, message, offset, now, 0);
}

bool scheduler_offer_ranked(struct scheduler *scheduler, struct sub_key_queue *queue, struct offset_tracker *tracker,
                            uintptr_t message, int64_t offset, uint32_t now, uint32_t precedence) {
    scheduler->ranked = true;
    return offer(scheduler, queue, tracker, message, offset, now, precedence);
}

bool scheduler_offer_finished(struct scheduler *scheduler, struct offset_tracker *tracker, int64_t offset) {
    if (!offset_tracker_receive_finished(tracker, offset)) {
        return false;
    }
    scheduler->in_flight++;
    scheduler->total_enqueued++;
    scheduler_update_moved(scheduler, tracker);
    return true;
}

/* Takes out the oldest item whose sub key is free; there must be one. */
static struct item *shift_oldest(struct scheduler *scheduler) {
    struct heap_node *top = scheduler->exempt.top ? scheduler->exempt.top : scheduler->passed.top;
    if (top) {
        return sub_key_queue_shift(HEAP_ENTRY(top, struct sub_key_queue, node));
    }
    struct item *item = arrivals_shift(scheduler);
    while (!item->queue->ready) {
        sub_key_queue_push(item->queue, item);
        item = arrivals_shift(scheduler);
    }
    return item;
}

static bool newer(struct heap_node *node, uint64_t rank) {
    return node->rank > rank;
}

/* Takes out the oldest item of a free sub key that is newer than the last probe, or the oldest of all. */
static struct item *shift_probe(struct scheduler *scheduler) {
    queue_up(scheduler);
    struct heap_node *node = heap_lowest(&scheduler->passed, newer, scheduler->probed);
    if (!node) {
        node = scheduler->passed.top;
    }
    struct sub_key_queue *queue = HEAP_ENTRY(node, struct sub_key_queue, node);
    scheduler->probed = node->rank;
    scheduler->probe_due = false;
    queue->probing = true;
    return sub_key_queue_shift(queue);
}

struct item *scheduler_take(struct scheduler *scheduler) {
    if (!scheduler_ready(scheduler)) {
        return NULL;
    }
    struct item *item = scheduler->held && !scheduler->exempt.top ? shift_probe(scheduler) : shift_oldest(scheduler);
    stop_waiting(scheduler, item);
    scheduler->retrying -= item->queue->tried;
    start_running(scheduler, item);
    update_queue(scheduler, item->queue);
    return item;
}

void scheduler_finish(struct scheduler *scheduler, struct item *item) {
    struct offset_tracker *tracker = item->tracker;
    struct sub_key_queue *queue = item->queue;
    count_unfinished(scheduler, item, -1);
    if (tracker->untracked) {
        scheduler->in_flight--;
        scheduler->total_acknowledged++;
    } else if (!tracker->revoked) {
        offset_tracker_finish(tracker, item);
        scheduler_update_moved(scheduler, tracker);
    }
    stop_running(scheduler, item);
    scheduler->total_tries += !queue->exempt; /* what is given up again is no work */
    forget_run(queue);
    end_item(scheduler, item);
    update_queue(scheduler, queue);
}

void scheduler_retry(struct scheduler *scheduler, struct item *item, uint64_t not_before, bool exempt) {
    struct sub_key_queue *queue = item->queue;
    stop_running(scheduler, item);
    scheduler->total_tries += !queue->exempt;
    start_waiting(scheduler, item);
    sub_key_queue_unshift(queue, item);
    queue->tried = true;
    scheduler->retrying++;
    queue->exempt = exempt;
    queue->probing = false;
    begin_rest(scheduler, queue, not_before);
}

static void wake(struct scheduler *scheduler, struct heap_node *node) {
    struct sub_key_queue *queue = HEAP_ENTRY(node, struct sub_key_queue, node);
    end_rest(scheduler, queue);
    update_queue(scheduler, queue);
}

static bool work_rests(struct heap_node *node, uint64_t unused) {
    (void)unused;
    return !HEAP_ENTRY(node, struct sub_key_queue, node)->exempt;
}

/* The time for a probe has come. What is being given up is none. */
static void call_probe(struct scheduler *scheduler, uint64_t now) {
    heap_remove(&scheduler->times, &scheduler->probe);
    queue_up(scheduler);
    struct heap_node *first = scheduler->passed.top ? NULL : heap_lowest(&scheduler->times, work_rests, 0);
    if (first) {
        wake(scheduler, first);
    }
    heap_add(&scheduler->times, &scheduler->probe, now + scheduler->probe_period);
    scheduler->probe_due = true;
}

void scheduler_advance(struct scheduler *scheduler, uint64_t now) {
    struct heap_node *top;
    while ((top = scheduler->times.top) && top->rank <= now) {
        if (top == &scheduler->alarm) {
            heap_remove(&scheduler->times, top);
            scheduler->alarmed = true;
        } else if (top == &scheduler->probe) {
            if (scheduler->paused) {
                scheduler_release(scheduler);
            } else {
                call_probe(scheduler, now);
            }
        } else {
            wake(scheduler, top);
        }
    }
}

/* Holding */

void scheduler_release(struct scheduler *scheduler) {
    if (scheduler->held) {
        heap_remove(&scheduler->times, &scheduler->probe);
    }
    scheduler->held = scheduler->paused = scheduler->probe_due = false;
}

void scheduler_pause(struct scheduler *scheduler, uint64_t until) {
    scheduler_release(scheduler);
    scheduler->held = scheduler->paused = true;
    heap_add(&scheduler->times, &scheduler->probe, until);
}

void scheduler_set_alarm(struct scheduler *scheduler, uint64_t time) {
    if (scheduler->alarm.rank) {
        heap_remove(&scheduler->times, &scheduler->alarm);
    }
    if (time != SCHEDULER_NEVER) {
        heap_add(&scheduler->times, &scheduler->alarm, time);
    }
}

void scheduler_hold(struct scheduler *scheduler, uint64_t now, uint64_t period) {
    if (!scheduler->held) {
        scheduler->probed = 0;
    }
    scheduler_release(scheduler);
    scheduler->held = true;
    scheduler->probe_period = period;
    heap_add(&scheduler->times, &scheduler->probe, now + period);
}

/* Ends an item whose offset must never be acknowledged. (A revoked tracker has forgotten its offsets already.) */
static void leave_unfinished(struct scheduler *scheduler, struct item *item) {
    count_unfinished(scheduler, item, -1);
    if (item->tracker->untracked) {
        scheduler->in_flight--;
    } else if (!item->tracker->revoked) {
        offset_tracker_abandon(item->tracker, item);
    }
    end_item(scheduler, item);
}

/* Takes out and ends all that waits on a queue; there must be no arrivals. */
static void abandon_waiting(struct scheduler *scheduler, struct sub_key_queue *queue) {
    if (!queue->running) {
        forget_tried(scheduler, queue);
    }
    while (queue->first) {
        struct item *item = sub_key_queue_shift(queue);
        stop_waiting(scheduler, item);
        leave_unfinished(scheduler, item);
    }
}

void scheduler_abandon(struct scheduler *scheduler, struct item *item) {
    struct sub_key_queue *queue = item->queue;
    queue_up(scheduler);
    stop_running(scheduler, item);
    forget_run(queue);
    leave_unfinished(scheduler, item);
    abandon_waiting(scheduler, queue);
    update_queue(scheduler, queue);
}

uint32_t scheduler_drop_waiting(struct scheduler *scheduler, struct sub_key_queue *queue) {
    uint32_t dropped = queue->waiting;
    queue_up(scheduler);
    for (const struct item *item = queue->first; item; item = item->next) {
        item->tracker->dropped++;
    }
    abandon_waiting(scheduler, queue);
    update_queue(scheduler, queue);
    scheduler->total_dropped += dropped;
    return dropped;
}

/* Dropping what waits of one tracker */

struct drop {
    struct scheduler *scheduler;
    void (*shortened)(struct sub_key_queue *queue, void *data);
    void *data;
    int64_t above; /* only what is above this offset */
};

/* Drops all items of the same tracker that wait on the queue of a waiting item. The tracker then refers to none of
 * them, so the walk through it comes to each queue only once. */
static void drop_with(struct item *waiting, void *data) {
    const struct drop *drop = data;
    if (!item_waits(waiting) || waiting->offset <= drop->above) {
        return;
    }
    struct scheduler *scheduler = drop->scheduler;
    struct sub_key_queue *queue = waiting->queue;
    const struct item *head = queue->first;
    struct item *item = sub_key_queue_extract(queue, waiting->tracker, drop->above);
    if (!queue->running && queue->first != head) {
        forget_tried(scheduler, queue);
    }
    while (item) {
        struct item *next = item->next;
        stop_waiting(scheduler, item);
        leave_unfinished(scheduler, item);
        item = next;
    }
    update_queue(scheduler, queue);
    drop->shortened(queue, drop->data);
}

uint32_t scheduler_drop_above(struct scheduler *scheduler, struct offset_tracker *tracker, int64_t offset,
                              void (*shortened)(struct sub_key_queue *queue, void *data), void *data) {
    struct drop drop = {.scheduler = scheduler, .shortened = shortened, .data = data, .above = offset};
    uint32_t waiting = tracker->waiting;
    queue_up(scheduler);
    offset_tracker_each_unfinished(tracker, drop_with, &drop);
    uint32_t dropped = waiting - tracker->waiting;
    tracker->dropped += dropped;
    scheduler->total_dropped += dropped;
    return dropped;
}

void scheduler_revoke(struct scheduler *scheduler, struct offset_tracker *tracker,
                      void (*shortened)(struct sub_key_queue *queue, void *data), void *data) {
    struct drop drop = {.scheduler = scheduler, .shortened = shortened, .data = data, .above = OFFSET_NONE};
    queue_up(scheduler);
    offset_tracker_each_unfinished(tracker, drop_with, &drop);
    uint64_t forgotten = offset_tracker_pending(tracker);
    offset_tracker_clear(tracker);
    scheduler->fenced += tracker->revoked ? 0 : tracker->running;
    tracker->revoked = true;
    list_remove(&tracker->moved);
    scheduler_unmark(scheduler, tracker);
    scheduler->in_flight -= forgotten;
    scheduler->total_dropped += forgotten - tracker->dropped;
    tracker->dropped = 0;
}
