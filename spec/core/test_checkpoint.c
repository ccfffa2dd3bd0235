#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"

static struct scheduler scheduler;
static struct sub_key_queue queue;
static struct offset_tracker trackers[2];

static void begin(void) {
    scheduler_init(&scheduler, 100, 100);
    sub_key_queue_init(&queue);
    for (int i = 0; i < 2; i++) {
        offset_tracker_init(&trackers[i], false);
    }
}

static void end(void) {
    scheduler_discard(&scheduler, &queue);
    for (int i = 0; i < 2; i++) {
        offset_tracker_clear(&trackers[i]);
    }
    scheduler_destroy(&scheduler);
}

static void mark(void) {
    for (int i = 0; i < 2; i++) {
        scheduler_mark(&scheduler, &trackers[i]);
    }
}

static void enqueue(int tracker, int64_t offset) {
    CHECK(scheduler_offer(&scheduler, &queue, &trackers[tracker], 0, offset, 0));
}

static void process(void) {
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
}

static void settle(int tracker) {
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) == &trackers[tracker]);
    CHECK(offset_tracker_claim(&trackers[tracker]));
    scheduler_settle(&scheduler, &trackers[tracker], true);
}

static void ignore(struct sub_key_queue *idle, void *data) {
    CHECK(idle == &queue && !data);
}

static void is_over_once_what_was_received_by_then_is_settled(void) {
    begin();
    mark();
    CHECK(scheduler.marked == 0); /* nothing was received */
    enqueue(0, 0);
    enqueue(0, 1);
    mark();
    CHECK(scheduler.marked == 1);
    enqueue(0, 2);
    enqueue(1, 0); /* comes in after it: no part of it */
    for (int i = 0; i < 2; i++) {
        process();
        CHECK(scheduler.marked == 1);
        settle(0);
    }
    CHECK(scheduler.marked == 0 && scheduler.in_flight == 2);
    end();
}

static void waits_for_a_claim_that_is_underway_or_was_cut_off(void) {
    begin();
    enqueue(0, 0);
    process();
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) && offset_tracker_claim(&trackers[0]));
    mark();
    CHECK(scheduler.marked == 1);
    scheduler_unclaim(&scheduler, &trackers[0]);
    CHECK(scheduler.marked == 1);
    mark();
    CHECK(scheduler.marked == 1);
    settle(0);
    CHECK(scheduler.marked == 0);
    mark();
    CHECK(scheduler.marked == 0); /* nothing is unsettled */
    end();
}

static void takes_along_what_its_own_work_enqueues(void) {
    begin();
    enqueue(0, 0);
    enqueue(0, 1);
    struct item *running = scheduler_take(&scheduler);
    enqueue(1, 0);
    scheduler_follow_up(&scheduler, running->tracker, running->offset, &trackers[1]);
    CHECK(scheduler.marked == 0); /* there is no checkpoint */
    scheduler_mark(&scheduler, &trackers[0]);
    enqueue(1, 1);
    scheduler_follow_up(&scheduler, running->tracker, running->offset, &trackers[1]);
    CHECK(scheduler.marked == 2 && trackers[1].mark == 1);
    enqueue(0, 2);
    scheduler_finish(&scheduler, running);
    for (int i = 0; i < 3; i++) { /* until 0/2 runs, which is no part of it */
        process();
    }
    running = scheduler_take(&scheduler);
    CHECK(running->offset == 2);
    enqueue(1, 2);
    scheduler_follow_up(&scheduler, running->tracker, running->offset, &trackers[1]);
    CHECK(scheduler.marked == 2 && trackers[1].mark == 1);
    scheduler_finish(&scheduler, running);
    const int rest[] = {0, 1, 0, 1};
    for (int i = 0; i < 4; i++) {
        settle(rest[i]);
        CHECK(scheduler.marked == (i < 2 ? 2 : i == 2 ? 1 : 0));
        scheduler_begin_pass(&scheduler);
    }
    end();
}

static void is_over_with_revoke_though_something_was_abandoned(void) {
    begin();
    enqueue(0, 0);
    enqueue(1, 0);
    mark();
    scheduler_abandon(&scheduler, scheduler_take(&scheduler)); /* and what waits behind it */
    CHECK(scheduler.marked == 2 && !scheduler_claimable(&scheduler));
    for (int i = 0; i < 2; i++) {
        scheduler_revoke(&scheduler, &trackers[i], ignore, NULL);
        CHECK(scheduler.marked == (uint32_t)(1 - i));
        scheduler_mark(&scheduler, &trackers[i]);
        CHECK(scheduler.marked == (uint32_t)(1 - i));
    }
    end();
}

static void leaves_out_a_revoked_one_whose_claim_is_cut_off(void) {
    begin();
    enqueue(0, 0);
    enqueue(0, 1);
    process();
    struct item *running = scheduler_take(&scheduler);
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) && offset_tracker_claim(&trackers[0]));
    mark();
    CHECK(scheduler.marked == 1);
    scheduler_revoke(&scheduler, &trackers[0], ignore, NULL);
    CHECK(scheduler.marked == 0 && scheduler.in_flight == 1);
    mark();
    enqueue(1, 0);
    scheduler_follow_up(&scheduler, running->tracker, running->offset, &trackers[1]); /* it is not tracked any more */
    CHECK(scheduler.marked == 0);
    scheduler_unclaim(&scheduler, &trackers[0]);
    CHECK(scheduler.marked == 0 && scheduler.in_flight == 1 && scheduler.total_dropped == 2);
    end();
}

/* What is finished is kept as runs then; one offset at a time is acknowledged of them. */
static void is_over_at_its_mark_also_when_much_is_finished_behind_one(void) {
    static struct sub_key_queue other;
    begin();
    sub_key_queue_init(&other);
    enqueue(0, 0);
    struct item *stuck = scheduler_take(&scheduler);
    for (int64_t offset = 1; offset < 300; offset++) {
        CHECK(scheduler_offer(&scheduler, &other, &trackers[0], 0, offset, 0));
        process();
        if (offset == 100) {
            mark();
        }
    }
    CHECK(trackers[0].length < 64);
    scheduler_finish(&scheduler, stuck);
    for (int64_t offset = 0; offset < 300; offset++) {
        CHECK(scheduler.marked == (offset <= 100));
        settle(0);
    }
    CHECK(scheduler.in_flight == 0);
    end();
}

int main(void) {
    is_over_at_its_mark_also_when_much_is_finished_behind_one();
    is_over_once_what_was_received_by_then_is_settled();
    waits_for_a_claim_that_is_underway_or_was_cut_off();
    takes_along_what_its_own_work_enqueues();
    is_over_with_revoke_though_something_was_abandoned();
    leaves_out_a_revoked_one_whose_claim_is_cut_off();
    return checked("checkpoint");
}
