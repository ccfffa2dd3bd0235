/* What will never be finished: the frontier stays below the lowest of it, which is known with its message. */
#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"

static struct offset_tracker tracker;
static struct item items[300];

static struct item *receive(int index, int64_t offset, uintptr_t message) {
    items[index] = (struct item){.offset = offset, .message = message};
    CHECK(offset_tracker_receive(&tracker, &items[index]));
    return &items[index];
}

static void check_given_up(int64_t offset, uintptr_t message) {
    CHECK(tracker.given_up == offset && tracker.given_up_message == message);
}

static bool nothing(void) {
    return tracker.given_up == OFFSET_NONE;
}

static void is_the_lowest_of_the_abandoned(void) {
    offset_tracker_init(&tracker, false);
    CHECK(nothing());
    offset_tracker_finish(&tracker, receive(0, 3, 103));
    CHECK(offset_tracker_receive_finished(&tracker, 4) && nothing()); /* finished is not given up */
    struct item *seven = receive(1, 7, 107), *eight = receive(2, 8, 108), *nine = receive(3, 9, 109);
    struct item *six = receive(4, 6, 106), *zero = receive(5, 0, 100); /* late */
    offset_tracker_abandon(&tracker, eight);
    check_given_up(8, 108);
    offset_tracker_abandon(&tracker, nine);
    check_given_up(8, 108);
    offset_tracker_abandon(&tracker, seven);
    check_given_up(7, 107);
    offset_tracker_abandon(&tracker, six);
    check_given_up(6, 106);
    offset_tracker_finish(&tracker, zero);
    check_given_up(6, 106);
    CHECK(tracker.abandoned == 4 && tracker.received == 7);
    for (int64_t offset = 0; offset < 5; offset += offset ? 1 : 3) { /* below it all goes on */
        const struct claim *claim = offset_tracker_claim(&tracker);
        CHECK(claim && claim->offset == offset && offset_tracker_settle(&tracker, true) == 1);
    }
    CHECK(!offset_tracker_claim(&tracker) && offset_tracker_pending(&tracker) == 4);
    CHECK(offset_tracker_oldest(&tracker)->offset == 6);
    check_given_up(6, 106);
    offset_tracker_clear(&tracker);
    CHECK(nothing());
}

/* Neither offset 0 nor a message that is 0 stands for nothing; nor does the highest there is. */
static void takes_the_ends_of_the_range(void) {
    offset_tracker_init(&tracker, true);
    struct item *zero = receive(0, 0, 0), *last = receive(1, INT64_MAX, 5);
    offset_tracker_abandon(&tracker, last);
    check_given_up(INT64_MAX, 5);
    offset_tracker_abandon(&tracker, zero);
    check_given_up(0, 0);
    offset_tracker_abandon(&tracker, receive(2, 1, 1));
    check_given_up(0, 0);
    CHECK(tracker.abandoned == 3 && !offset_tracker_claimable(&tracker));
    offset_tracker_clear(&tracker);
}

/* Another item with its offset may be finished: the offset is given up. */
static void stays_with_one_message_of_an_offset_that_came_twice(void) {
    offset_tracker_init(&tracker, false);
    struct item *first = receive(0, 5, 1), *again = receive(1, 5, 2), *third = receive(2, 5, 3);
    offset_tracker_abandon(&tracker, again);
    offset_tracker_abandon(&tracker, third);
    check_given_up(5, 2);
    offset_tracker_finish(&tracker, first);
    check_given_up(5, 2);
    CHECK(!offset_tracker_claim(&tracker) && offset_tracker_oldest(&tracker)->offset == 5);
    CHECK(offset_tracker_pending(&tracker) == 3);
    offset_tracker_clear(&tracker);
}

/* The window becomes runs around it. What stands for all that was abandoned, anywhere, is not written to. */
static void survives_what_comes_in_behind_it(void) {
    offset_tracker_init(&tracker, false);
    const struct item *running = receive(0, 10, 110);
    offset_tracker_abandon(&tracker, receive(1, 11, 111));
    for (int64_t offset = 12; offset < 5000; offset++) {
        CHECK(offset_tracker_receive_finished(&tracker, offset));
        check_given_up(11, 111);
    }
    CHECK(offset_tracker_bytes(&tracker) <= 64 * sizeof(struct tracked) && offset_tracker_abandoned.position == 0);
    CHECK(!offset_tracker_claimable(&tracker) && offset_tracker_oldest(&tracker)->item == running);
    offset_tracker_finish(&tracker, running);
    const struct claim *claim = offset_tracker_claim(&tracker);
    CHECK(claim && claim->offset == 10 && offset_tracker_settle(&tracker, true) == 1);
    CHECK(offset_tracker_oldest(&tracker)->item == &offset_tracker_abandoned && !offset_tracker_claim(&tracker));
    CHECK(offset_tracker_pending(&tracker) == 4989);
    check_given_up(11, 111);
    offset_tracker_clear(&tracker);
}

/* What the scheduler gives up */

#define QUEUES 3

static struct scheduler scheduler;
static struct sub_key_queue queues[QUEUES];

/* Offset 0 to 8, of which messages are 100 and more, on three queues in turn: 0, 1 and 2 can start. */
static void begin(void) {
    scheduler_init(&scheduler, 100, 100);
    offset_tracker_init(&tracker, false);
    for (int i = 0; i < QUEUES; i++) {
        sub_key_queue_init(&queues[i]);
    }
    for (int offset = 0; offset < 9; offset++) {
        CHECK(scheduler_offer(&scheduler, &queues[offset % QUEUES], &tracker, 100 + (uintptr_t)offset, offset, 0));
    }
}

static void ignore(struct sub_key_queue *queue, void *data) {
    CHECK(queue && !data);
}

static void end(void) {
    scheduler_revoke(&scheduler, &tracker, ignore, NULL);
    CHECK(nothing() && scheduler.in_flight == 0); /* the next owner begins anew */
    for (int i = 0; i < QUEUES; i++) {
        if (queues[i].running) { /* fenced: it leaves no trace */
            scheduler_abandon(&scheduler, queues[i].running);
        }
        CHECK(nothing() && sub_key_queue_idle(&queues[i]));
    }
    scheduler_destroy(&scheduler);
    CHECK(pool_bytes(&scheduler.items) == 0);
    CHECK(scheduler.total_enqueued == scheduler.total_acknowledged + scheduler.total_dropped);
}

static struct item *start(int64_t offset) {
    struct item *item = scheduler_take(&scheduler);
    CHECK(item && item->offset == offset);
    return item;
}

static void holds_work_that_was_cut_off(void) {
    begin();
    struct item *zero = start(0), *one = start(1);
    scheduler_abandon(&scheduler, one); /* and 4 and 7 behind it */
    check_given_up(1, 101);
    CHECK(tracker.abandoned == 3 && tracker.dropped == 0 && scheduler.total_dropped == 0);
    scheduler_abandon(&scheduler, zero);
    check_given_up(0, 100);
    CHECK(tracker.abandoned == 6 && scheduler.in_flight == 9 && scheduler_unfinished(&scheduler) == 3);
    CHECK(scheduler_offer_finished(&scheduler, &tracker, 20) && !scheduler_claimable(&scheduler));
    check_given_up(0, 100);
    end();
}

static void holds_what_was_dropped_while_it_waited(void) {
    begin();
    scheduler_finish(&scheduler, start(0));
    CHECK(scheduler_drop_waiting(&scheduler, &queues[2]) == 3);
    check_given_up(2, 102);
    CHECK(scheduler_drop_waiting(&scheduler, &queues[2]) == 0 && tracker.abandoned == 3); /* nothing is left to drop */
    CHECK(scheduler_drop_waiting(&scheduler, &queues[0]) == 2);
    check_given_up(2, 102);
    CHECK(tracker.abandoned == 5 && tracker.dropped == 5 && scheduler.total_dropped == 5);
    CHECK(scheduler_drop_waiting(&scheduler, &queues[1]) == 3);
    check_given_up(1, 101);
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) == &tracker);
    CHECK(offset_tracker_claim(&tracker)->offset == 0);
    scheduler_settle(&scheduler, &tracker, true);
    CHECK(!scheduler_claimable(&scheduler) && scheduler.in_flight == 8);
    end();
}

/* What came in finished is never dropped, though it is above. */
static void holds_what_was_dropped_above_an_offset(void) {
    begin();
    const struct item *running = start(0);
    CHECK(scheduler_offer_finished(&scheduler, &tracker, 9));
    CHECK(scheduler_drop_above(&scheduler, &tracker, 9, ignore, NULL) == 0 && nothing());
    CHECK(scheduler_drop_above(&scheduler, &tracker, 6, ignore, NULL) == 2);
    check_given_up(7, 107);
    CHECK(scheduler_drop_above(&scheduler, &tracker, 3, ignore, NULL) == 3);
    check_given_up(4, 104);
    CHECK(scheduler_drop_above(&scheduler, &tracker, OFFSET_NONE, ignore, NULL) == 3); /* not what runs */
    check_given_up(1, 101);
    CHECK(tracker.abandoned == 8 && tracker.dropped == 8 && offset_tracker_highest_finished(&tracker) == 9);
    CHECK(offset_tracker_oldest(&tracker)->item == running);
    end();
}

/* A tracker that keeps nothing has no frontier that could stay below it. */
static void is_nothing_of_an_untracked_one(void) {
    scheduler_init(&scheduler, 100, 100);
    offset_tracker_init_untracked(&tracker);
    sub_key_queue_init(&queues[0]);
    for (int i = 0; i < 3; i++) {
        CHECK(scheduler_offer(&scheduler, &queues[0], &tracker, 1, i, 0));
    }
    scheduler_abandon(&scheduler, scheduler_take(&scheduler));
    CHECK(nothing() && tracker.abandoned == 0 && scheduler.in_flight == 0 && sub_key_queue_idle(&queues[0]));
    scheduler_destroy(&scheduler);
    offset_tracker_clear(&tracker);
}

int main(void) {
    is_the_lowest_of_the_abandoned();
    takes_the_ends_of_the_range();
    stays_with_one_message_of_an_offset_that_came_twice();
    survives_what_comes_in_behind_it();
    holds_work_that_was_cut_off();
    holds_what_was_dropped_while_it_waited();
    holds_what_was_dropped_above_an_offset();
    is_nothing_of_an_untracked_one();
    return checked("given_up");
}
