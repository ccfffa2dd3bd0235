#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"

#define QUEUES 6
#define TRACKERS 3

static struct scheduler scheduler;
static struct sub_key_queue queues[QUEUES];
static struct offset_tracker trackers[TRACKERS];
static int enqueued;
static int64_t next_offset[TRACKERS];

static void begin(void) {
    scheduler_init(&scheduler, 100, 100);
    for (int i = 0; i < QUEUES; i++) {
        sub_key_queue_init(&queues[i]);
    }
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_init(&trackers[i], true);
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

static void enqueue(int queue, int tracker) {
    CHECK(scheduler_offer(&scheduler, &queues[queue], &trackers[tracker], (uintptr_t)enqueued++, next_offset[tracker]++,
                          0));
}

static struct item *start(int index) {
    struct item *item = scheduler_take(&scheduler);
    CHECK(item && (int)item->message == index);
    return item;
}

static void count_idle(struct sub_key_queue *queue, void *data) {
    int *idle = data;
    *idle += sub_key_queue_idle(queue);
}

static void goes_on_with_the_oldest_when_a_sub_key_is_free_again(void) {
    begin();
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
    begin();
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
    int idle = 0;
    scheduler_revoke(&scheduler, &trackers[1], count_idle, &idle);
    CHECK(idle == 1 && sub_key_queue_idle(&queues[3]));
    struct item *left[] = {four, start(3), start(5), start(7)};
    CHECK(!scheduler_take(&scheduler));
    for (int i = 0; i < 4; i++) {
        scheduler_finish(&scheduler, left[i]);
    }
    end();
}

static void drops_what_waits_and_acknowledges_what_ran_below_it(void) {
    begin();
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
        CHECK(!scheduler_claimable(&scheduler));
        scheduler_finish(&scheduler, running[i]);
    }
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) == &trackers[0]);
    const struct claim *claim = offset_tracker_claim(&trackers[0]);
    CHECK(claim && claim->offset == 1 && claim->count == 2); /* 3 is finished behind 2, which never will be */
    scheduler_settle(&scheduler, &trackers[0], true);
    CHECK(!scheduler_claimable(&scheduler) && scheduler.in_flight == 5);
    CHECK(offset_tracker_oldest(&trackers[0])->offset == 2);
    int idle = 0;
    scheduler_revoke(&scheduler, &trackers[0], count_idle, &idle);
    CHECK(idle == 0);
    CHECK(scheduler.in_flight == 0 && scheduler.total_dropped == 5); /* each once */
    end();
}

/* Runs a new message of a tracker, on a sub key that is free, to its end. */
static void process(int queue, int tracker) {
    int index = enqueued;
    enqueue(queue, tracker);
    scheduler_finish(&scheduler, start(index));
}

static struct offset_tracker *next(void) {
    return scheduler_next_in_pass(&scheduler);
}

static void gives_each_tracker_one_turn_in_a_pass(void) {
    begin();
    CHECK(!next() && !scheduler_claimable(&scheduler));
    process(0, 1);
    process(0, 0);
    CHECK(!next() && scheduler_claimable(&scheduler)); /* no pass has begun */
    scheduler_begin_pass(&scheduler);
    CHECK(next() == &trackers[1] && offset_tracker_claim(&trackers[1]));
    process(0, 1); /* while it is acknowledged */
    process(0, 2); /* came too late for this pass */
    scheduler_settle(&scheduler, &trackers[1], true);
    CHECK(next() == &trackers[0] && offset_tracker_claim(&trackers[0]));
    scheduler_unclaim(&scheduler, &trackers[0]);
    CHECK(!next() && scheduler_claimable(&scheduler));
    scheduler_begin_pass(&scheduler);
    CHECK(next() == &trackers[2] && offset_tracker_claim(&trackers[2]));
    scheduler_settle(&scheduler, &trackers[2], true);
    process(0, 2);
    scheduler_begin_pass(&scheduler); /* the last was cut off: who is left comes first */
    const int rest[] = {1, 0, 2};
    for (int i = 0; i < 3; i++) {
        CHECK(next() == &trackers[rest[i]] && offset_tracker_claim(&trackers[rest[i]]));
        scheduler_settle(&scheduler, &trackers[rest[i]], true);
    }
    CHECK(!next() && !scheduler_claimable(&scheduler) && scheduler.in_flight == 0);
    end();
}

int main(void) {
    goes_on_with_the_oldest_when_a_sub_key_is_free_again();
    loses_its_place_with_a_message_that_is_revoked();
    drops_what_waits_and_acknowledges_what_ran_below_it();
    gives_each_tracker_one_turn_in_a_pass();
    return checked("scheduler_cases");
}
