#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"
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

/* The oldest message whose sub key is free, word for word; or -1. */
static int oldest(void) {
    for (int i = 0; i < enqueued; i++) {
        int queue = messages[i].queue;
        if (messages[i].fate == WAITING && !count(RUNNING, queue) && !count(FENCED, queue)) { /* I1 */
            return i;
        }
    }
    return -1;
}

static void take(void) {
    int index = oldest();
    struct item *item = scheduler_take(&scheduler);
    CHECK((item != NULL) == (index >= 0)); /* I5: no lost wake-up */
    if (!item) {
        return;
    }
    CHECK((int)item->message == index); /* I2 */
    CHECK(item->offset == messages[index].offset);
    messages[index].fate = RUNNING;
    messages[index].item = item;
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

static void drop_waiting(void) {
    int queue = (int)random_below(QUEUES);
    int waiting = count(WAITING, queue);
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].queue == queue && messages[i].fate == WAITING) {
            messages[i].fate = LEFT;
        }
    }
    CHECK((int)scheduler_drop_waiting(&scheduler, &queues[queue]) == waiting);
    CHECK(queues[queue].waiting == 0 && !queues[queue].first);
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
    CHECK(scheduler.in_flight == scheduler.total_enqueued - scheduler.total_acknowledged - scheduler.total_dropped +
                                     (uint64_t)count(LEFT, -1));
    CHECK(scheduler.in_flight <= scheduler.max_in_flight); /* I7 */
    int ready = 0;
    for (int queue = 0; queue < QUEUES; queue++) {
        CHECK((int)queues[queue].waiting == count(WAITING, queue));
        CHECK(sub_key_queue_idle(&queues[queue]) == (!queues[queue].waiting && !queues[queue].running));
        ready += queues[queue].waiting && !queues[queue].running;
    }
    CHECK(scheduler_ready(&scheduler) == (ready > 0));
    CHECK(scheduler_ready_many(&scheduler) == (ready > 1));
}

static void keeps_the_invariants_whatever_happens(uint64_t run) {
    random_seed(run);
    begin(1 + random_below(8), 1 + random_below(60));
    bool abandons = random_below(8) == 0, revokes = random_below(3) == 0, drops = random_below(6) == 0;
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
        } else if (drops && random_below(20) == 0) {
            drop_waiting();
        } else if (random_below(10) == 0) {
            scheduler_queue_up(&scheduler);
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
    CHECK(count(ABANDONED, -1) || count(LEFT, -1) || scheduler.in_flight == 0); /* I5 */
    end();
}

static void enqueue(int queue, int tracker) {
    CHECK(scheduler_offer(&scheduler, &queues[queue], &trackers[tracker], (uintptr_t)enqueued, next_offset[tracker]++,
                          0));
    messages[enqueued++] = (struct message){.queue = queue, .tracker = tracker, .fate = WAITING};
}

static struct item *start(int index) {
    struct item *item = scheduler_take(&scheduler);
    CHECK(item && (int)item->message == index);
    return item;
}

static void goes_on_with_the_oldest_when_a_sub_key_is_free_again(void) {
    begin(100, 100);
    const int keys[] = {0, 0, 1, 0, 1, 2, 3};
    for (int i = 0; i < 7; i++) {
        enqueue(keys[i], 0);
    }
    struct item *zero = start(0), *two = start(2), *five = start(5);
    scheduler_finish(&scheduler, two);
    struct item *four = start(4);
    scheduler_finish(&scheduler, zero);
    struct item *one = start(1);
    scheduler_finish(&scheduler, five);
    scheduler_finish(&scheduler, one);
    struct item *three = start(3), *six = start(6);
    CHECK(!scheduler_take(&scheduler));
    scheduler_finish(&scheduler, three);
    scheduler_finish(&scheduler, four);
    scheduler_finish(&scheduler, six);
    end();
}

static void loses_its_place_with_a_message_that_is_revoked(void) {
    begin(100, 100);
    enqueue(0, 0);
    enqueue(1, 0);
    enqueue(0, 1); /* is revoked while it keeps queue 0 its place */
    enqueue(1, 0);
    enqueue(2, 0);
    enqueue(0, 0);
    enqueue(3, 1); /* is revoked before anyone looked at it */
    enqueue(4, 0);
    struct item *zero = start(0), *one = start(1), *four = start(4); /* 2 and 3 were passed over */
    scheduler_finish(&scheduler, zero);
    scheduler_finish(&scheduler, one);
    for (int queue = 0; queue < QUEUES; queue++) {
        scheduler_drop(&scheduler, &queues[queue], &trackers[1]);
    }
    scheduler_revoke(&scheduler, &trackers[1]);
    CHECK(sub_key_queue_idle(&queues[3]));
    struct item *left[] = {four, start(3), start(5), start(7)};
    CHECK(!scheduler_take(&scheduler));
    for (int i = 0; i < 4; i++) {
        scheduler_finish(&scheduler, left[i]);
    }
    end();
}

static void drops_what_waits_and_acknowledges_what_ran_below_it(void) {
    begin(100, 100);
    const int keys[] = {0, 1, 0, 2, 2, 1, 3}; /* 0, 1 and 3 run; 2 was passed over, 4 to 6 were not looked at */
    for (int i = 0; i < 7; i++) {
        enqueue(keys[i], 0);
    }
    struct item *running[] = {start(0), start(1), start(3)};
    uint32_t dropped = 0;
    for (int queue = 0; queue < QUEUES; queue++) {
        dropped += scheduler_drop_waiting(&scheduler, &queues[queue]);
    }
    CHECK(dropped == 4 && scheduler.total_dropped == 4);
    CHECK(scheduler.waiting == 0 && scheduler.running == 3 && !scheduler_take(&scheduler));
    for (int i = 2; i >= 0; i--) {
        CHECK(!scheduler.first_moved);
        scheduler_finish(&scheduler, running[i]);
    }
    CHECK(scheduler_moved(&scheduler) == &trackers[0]);
    const struct claim *claim = offset_tracker_claim(&trackers[0], true);
    CHECK(claim && claim->offset == 1 && claim->count == 2); /* 3 is finished behind 2, which never will be */
    scheduler_settle(&scheduler, &trackers[0], true);
    CHECK(!scheduler.first_moved && scheduler.in_flight == 5);
    CHECK(offset_tracker_oldest(&trackers[0])->offset == 2);
    scheduler_revoke(&scheduler, &trackers[0]);
    CHECK(scheduler.in_flight == 0 && scheduler.total_dropped == 5); /* each once */
    end();
}

int main(void) {
    CHECK(sizeof(struct item) == 56);
    CHECK(sizeof(struct sub_key_queue) == 56);
    goes_on_with_the_oldest_when_a_sub_key_is_free_again();
    loses_its_place_with_a_message_that_is_revoked();
    drops_what_waits_and_acknowledges_what_ran_below_it();
    for (uint64_t run = 1; run <= runs(2000); run++) {
        keeps_the_invariants_whatever_happens(run);
    }
    return checked("scheduler");
}
