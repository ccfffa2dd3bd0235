#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"
#include <string.h>

#define QUEUES 6
#define TRACKERS 3
#define MOST 500

/* The naive model: each message with its sub key, partition and fate, in the order of enqueue. */
enum fate { WAITING, RUNNING, FINISHED, ABANDONED, DROPPED, FENCED };

struct message {
    int queue, tracker;
    int64_t offset;
    enum fate fate;
    struct item *item; /* while it runs */
};

static struct scheduler scheduler;
static struct sub_key_queue queues[QUEUES];
static struct offset_tracker trackers[TRACKERS];
static struct offset_tracker revoked[MOST]; /* where a tracker goes when its assignment ends and something of it runs */
static struct message messages[MOST];
static int enqueued;
static int64_t next_offset[TRACKERS];

static void begin(uint32_t max_in_queue, uint32_t max_in_flight) {
    scheduler_init(&scheduler, max_in_queue, max_in_flight);
    for (int i = 0; i < QUEUES; i++) {
        sub_key_queue_init(&queues[i]);
    }
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_init(&trackers[i]);
        next_offset[i] = 0;
    }
    enqueued = 0;
}

static void end(void) {
    for (int i = 0; i < QUEUES; i++) {
        scheduler_discard(&scheduler, &queues[i]);
    }
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_clear(&trackers[i]);
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

static void offer(void) {
    int queue = (int)random_below(QUEUES), tracker = (int)random_below(TRACKERS);
    enum room room = scheduler_room(&scheduler, &queues[queue]);
    int full = count(WAITING, queue) >= (int)scheduler.max_in_queue;
    CHECK((room == SUB_KEY_FULL) == full); /* I7 */
    if (room != ROOM || enqueued == MOST) {
        return;
    }
    int64_t offset =
        random_below(10) ? next_offset[tracker]++ : (int64_t)random_below((uint32_t)next_offset[tracker] + 1);
    if (offset >= next_offset[tracker]) {
        next_offset[tracker] = offset + 1;
    }
    struct message *message = &messages[enqueued];
    *message = (struct message){.queue = queue, .tracker = tracker, .offset = offset, .fate = WAITING};
    uintptr_t carried = (uintptr_t)enqueued;
    if (random_below(20) == 0) { /* without memory nothing changes */
        struct scheduler before = scheduler;
        allocations_left = 0;
        bool taken = scheduler_offer(&scheduler, &queues[queue], &trackers[tracker], carried, offset, 0);
        allocations_left = -1;
        if (taken) {
            enqueued++;
            return;
        }
        CHECK(before.in_flight == scheduler.in_flight && before.total_enqueued == scheduler.total_enqueued);
        CHECK(before.waiting == scheduler.waiting);
    }
    CHECK(scheduler_offer(&scheduler, &queues[queue], &trackers[tracker], carried, offset, 0));
    enqueued++;
}

static void take(void) {
    struct item *item = scheduler_take(&scheduler);
    if (!item) {
        for (int queue = 0; queue < QUEUES; queue++) {
            CHECK(!count(WAITING, queue) || count(RUNNING, queue) || count(FENCED, queue)); /* I5: no lost wake-up */
        }
        return;
    }
    int index = (int)item->message;
    struct message *message = &messages[index];
    CHECK(message->fate == WAITING && message->offset == item->offset);
    CHECK(!count(RUNNING, message->queue) && !count(FENCED, message->queue)); /* I1 */
    for (int i = 0; i < index; i++) {
        CHECK(messages[i].queue != message->queue || messages[i].fate != WAITING); /* I2 */
    }
    message->fate = RUNNING;
    message->item = item;
}

static int random_running(void) {
    int start = enqueued ? (int)random_below((uint32_t)enqueued) : 0;
    for (int i = 0; i < enqueued; i++) {
        int index = (start + i) % enqueued;
        if (messages[index].fate == RUNNING || messages[index].fate == FENCED) {
            return index;
        }
    }
    return -1;
}

static void finish(void) {
    int index = random_running();
    if (index >= 0) {
        messages[index].fate = messages[index].fate == RUNNING ? FINISHED : DROPPED;
        scheduler_finish(&scheduler, messages[index].item);
    }
}

static void abandon(void) {
    int index = random_running();
    if (index < 0) {
        return;
    }
    int queue = messages[index].queue;
    messages[index].fate = messages[index].fate == RUNNING ? ABANDONED : DROPPED;
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].queue == queue && messages[i].fate == WAITING) {
            messages[i].fate = ABANDONED;
        }
    }
    scheduler_abandon(&scheduler, messages[index].item);
    CHECK(sub_key_queue_idle(&queues[queue]));
}

/* Ends the assignment of a partition and begins a new one, as a rebalance does. */
static void revoke(int *revocations) {
    int tracker = (int)random_below(TRACKERS);
    struct offset_tracker *old = &revoked[(*revocations)++];
    uint32_t running = trackers[tracker].running;
    if (trackers[tracker].length || trackers[tracker].late_length) {
        for (int i = 0; i < enqueued; i++) {
            if (messages[i].tracker == tracker && messages[i].fate != DROPPED) {
                messages[i].fate = messages[i].fate == RUNNING || messages[i].fate == FENCED ? FENCED : DROPPED;
            }
        }
    }
    for (int queue = 0; queue < QUEUES; queue++) {
        scheduler_drop(&scheduler, &queues[queue], &trackers[tracker]);
    }
    scheduler_revoke(&scheduler, &trackers[tracker]);
    *old = trackers[tracker];
    CHECK(old->running == running && old->waiting == 0);
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].tracker == tracker && messages[i].fate == FENCED &&
            messages[i].item->tracker == &trackers[tracker]) {
            messages[i].item->tracker = old; /* as if it had stayed where it was */
        }
    }
    offset_tracker_init(&trackers[tracker]);
    next_offset[tracker] = 0;
}

/* Settles what can be claimed, and checks that it is safe: I3 over the messages of this assignment. */
static void acknowledge(void) {
    struct offset_tracker *tracker = scheduler_moved(&scheduler);
    if (!tracker) {
        return;
    }
    const struct claim *claim = offset_tracker_claim(tracker, random_below(2));
    if (!claim) {
        return;
    }
    for (int i = 0; claim->due && i < enqueued; i++) {
        if (messages[i].tracker == tracker - trackers && messages[i].offset <= claim->offset) {
            CHECK(messages[i].fate == FINISHED || messages[i].fate == DROPPED || messages[i].fate == FENCED);
        }
    }
    if (random_below(6) == 0) {
        scheduler_unclaim(&scheduler, tracker);
        return;
    }
    scheduler_settle(&scheduler, tracker, random_below(5) != 0);
}

static void check_counters(void) {
    CHECK((int)scheduler.waiting == count(WAITING, -1));
    CHECK((int)scheduler.running == count(RUNNING, -1) + count(FENCED, -1));
    CHECK(scheduler.in_flight == scheduler.total_enqueued - scheduler.total_acknowledged - scheduler.total_dropped);
    CHECK(scheduler.in_flight <= scheduler.max_in_flight); /* I7 */
    for (int queue = 0; queue < QUEUES; queue++) {
        CHECK((int)queues[queue].waiting == count(WAITING, queue));
    }
}

static void keeps_the_invariants_whatever_happens(uint64_t run) {
    random_seed(run);
    begin(1 + random_below(8), 1 + random_below(60));
    bool abandons = random_below(8) == 0, revokes = random_below(3) == 0;
    int revocations = 0;
    for (int step = 0; step < 500; step++) {
        uint32_t action = random_below(12);
        if (action < 4) {
            offer();
        } else if (action < 7) {
            take();
        } else if (action < 10) {
            finish();
        } else if (action == 10) {
            acknowledge();
        } else if (revokes && random_below(10) == 0) {
            revoke(&revocations);
        } else if (abandons && random_below(20) == 0) {
            abandon();
        }
        check_counters();
    }
    while (scheduler_ready(&scheduler) || random_running() >= 0) {
        take();
        finish();
    }
    while (scheduler.first_moved) {
        acknowledge();
    }
    CHECK(count(WAITING, -1) == 0 && scheduler.running == 0);
    CHECK(count(ABANDONED, -1) || scheduler.in_flight == 0); /* I5 */
    end();
}

static void is_fair_between_sub_keys(void) {
    begin(100, 1000);
    for (int i = 0; i < 60; i++) {
        CHECK(scheduler_offer(&scheduler, &queues[i < 20 ? 0 : 1 + i % 2], &trackers[0], (uintptr_t)i, i, 0));
    }
    int turns[QUEUES] = {0};
    for (int i = 0; i < 30; i++) {
        struct item *item = scheduler_take(&scheduler);
        turns[item->queue - queues]++;
        scheduler_finish(&scheduler, item);
    }
    CHECK(turns[0] == 10 && turns[1] == 10 && turns[2] == 10);
    end();
}

int main(void) {
    CHECK(sizeof(struct item) == 56);
    is_fair_between_sub_keys();
    for (uint64_t run = 1; run <= runs(2000); run++) {
        keeps_the_invariants_whatever_happens(run);
    }
    return checked("scheduler");
}
