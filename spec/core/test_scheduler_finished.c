/* What is offered as finished in another assignment: there is nothing to do but to acknowledge it. */
#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"
#include <string.h>

#define TRACKERS 3

static struct scheduler scheduler;
static struct sub_key_queue queue;
static struct offset_tracker trackers[TRACKERS];

static void begin(bool latest) {
    scheduler_init(&scheduler, 2, 3);
    sub_key_queue_init(&queue);
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_init(&trackers[i], latest);
    }
}

static void end(void) {
    CHECK(scheduler.total_enqueued == scheduler.total_acknowledged + scheduler.total_dropped + scheduler.in_flight);
    scheduler_discard(&scheduler, &queue);
    for (int i = 0; i < TRACKERS; i++) {
        offset_tracker_clear(&trackers[i]);
    }
    scheduler_destroy(&scheduler);
    CHECK(pool_bytes(&scheduler.items) == 0);
}

static void pass(int tracker, int64_t offset) {
    CHECK(scheduler_offer_finished(&scheduler, &trackers[tracker], offset));
}

static void enqueue(int tracker, int64_t offset) {
    CHECK(scheduler_offer(&scheduler, &queue, &trackers[tracker], (uintptr_t)offset, offset, 0));
}

/* Claims and settles what is next in the pass: of this tracker, up to an offset, so many. */
static void settle(int tracker, int64_t offset, uint64_t count) {
    uint64_t before = scheduler.in_flight;
    CHECK(scheduler_next_in_pass(&scheduler) == &trackers[tracker]);
    const struct claim *claim = offset_tracker_claim(&trackers[tracker]);
    CHECK(claim && claim->due && claim->offset == offset && claim->count == count);
    scheduler_settle(&scheduler, &trackers[tracker], true);
    CHECK(scheduler.in_flight == before - count && trackers[tracker].acknowledged == offset);
}

static void never(const struct item *item, void *data) {
    CHECK(!item && data);
}

static void is_acknowledged_unseen(void) {
    begin(false);
    scheduler.over = never;
    scheduler.over_data = &queue;
    for (int64_t offset = 0; offset < 3; offset++) {
        pass(0, offset * 10);
        CHECK(scheduler.in_flight == (uint64_t)offset + 1 && scheduler.total_enqueued == scheduler.in_flight);
        CHECK(scheduler_unfinished(&scheduler) == 0 && scheduler_finished(&scheduler) == scheduler.in_flight);
    }
    CHECK(scheduler_claimable(&scheduler) && !scheduler_ready(&scheduler) && !scheduler_take(&scheduler));
    CHECK(pool_bytes(&scheduler.items) == 0 && scheduler_next_time(&scheduler) == SCHEDULER_NEVER);
    for (int64_t offset = 0; offset < 3; offset++) {
        CHECK(!scheduler_next_in_pass(&scheduler)); /* one turn in each pass */
        scheduler_begin_pass(&scheduler);
        settle(0, offset * 10, 1);
    }
    CHECK(!scheduler_claimable(&scheduler) && scheduler.total_acknowledged == 3 && scheduler.total_refused == 0);
    CHECK(scheduler.total_tries == 0 && scheduler.total_dropped == 0 && scheduler.in_flight == 0);
    end();
}

/* However many there are, work may come in: only the backlog has a limit for them. */
static void takes_no_room_of_what_is_unfinished(void) {
    begin(true);
    scheduler.max_finished = 10;
    for (int64_t offset = 0; offset < 9; offset++) {
        pass(0, offset);
        CHECK(scheduler_room(&scheduler, &queue, 0) == ROOM);
        CHECK(scheduler_room(&scheduler, NULL, 2) == (offset < 7 ? ROOM : BACKLOG_FULL));
    }
    enqueue(1, 0);
    CHECK(scheduler_room(&scheduler, NULL, 0) == ROOM && scheduler_room(&scheduler, NULL, 2) == FLIGHT_FULL);
    enqueue(1, 1);
    pass(1, 2); /* nothing looks at the limits */
    CHECK(scheduler_room(&scheduler, &queue, 0) == SUB_KEY_FULL && scheduler_room(&scheduler, NULL, 0) == BACKLOG_FULL);
    pass(1, 3);
    CHECK(scheduler_finished(&scheduler) == 11 && scheduler_unfinished(&scheduler) == 2 && queue.waiting == 2);
    CHECK(trackers[1].waiting == 2 && scheduler.crowded == 0);
    scheduler_begin_pass(&scheduler);
    settle(0, 8, 9);
    CHECK(scheduler_finished(&scheduler) == 2 && scheduler_room(&scheduler, NULL, 0) == ROOM);
    CHECK(!scheduler_claimable(&scheduler)); /* the others are behind work */
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
    scheduler_begin_pass(&scheduler);
    settle(1, 0, 1);
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
    scheduler_begin_pass(&scheduler);
    settle(1, 3, 3);
    CHECK(scheduler.in_flight == 0 && scheduler.total_tries == 2);
    end();
}

struct seen {
    uint64_t in_flight, enqueued, acknowledged, dropped, tries, waiting, running, ready, listed;
    uint64_t received, pending, bytes, length, tracked_waiting;
    int64_t highest;
};

static struct seen look(const struct offset_tracker *tracker) {
    return (struct seen){.in_flight = scheduler.in_flight,
                         .enqueued = scheduler.total_enqueued,
                         .acknowledged = scheduler.total_acknowledged,
                         .dropped = scheduler.total_dropped,
                         .tries = scheduler.total_tries,
                         .waiting = scheduler.waiting,
                         .running = scheduler.running,
                         .ready = scheduler.ready,
                         .listed = !list_empty(&tracker->moved),
                         .received = tracker->received,
                         .pending = offset_tracker_pending(tracker),
                         .bytes = offset_tracker_bytes(tracker),
                         .length = tracker->length,
                         .tracked_waiting = tracker->waiting,
                         .highest = tracker->highest};
}

static void changes_nothing_without_memory(bool latest) {
    begin(latest);
    for (int full = 0; full < 2; full++) {
        int64_t offset = 0;
        for (; full && offset < 64; offset++) { /* neither can it be compacted: every second one waits */
            offset % 2 ? enqueue(1, offset) : pass(1, offset);
        }
        struct seen before = look(&trackers[full]);
        allocations_left = 0;
        CHECK(!scheduler_offer_finished(&scheduler, &trackers[full], offset));
        allocations_left = -1;
        struct seen after = look(&trackers[full]);
        CHECK(!memcmp(&before, &after, sizeof after));
    }
    CHECK(list_empty(&trackers[0].moved));
    pass(0, 0);
    pass(1, 64);
    scheduler_begin_pass(&scheduler);
    settle(1, 0, 1);
    settle(0, 0, 1);
    end();
}

static void gives_its_tracker_one_turn_in_order(void) {
    begin(true);
    pass(2, 0);
    pass(0, 0);
    pass(2, 1); /* it is on the list already */
    enqueue(1, 5);
    pass(1, 6); /* is held up */
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) == &trackers[2] && offset_tracker_claim(&trackers[2])->count == 2);
    pass(2, 2); /* while it is acknowledged: for the next pass */
    CHECK(list_empty(&trackers[2].moved));
    scheduler_settle(&scheduler, &trackers[2], false);
    CHECK(scheduler.total_refused == 2 && trackers[2].acknowledged == OFFSET_NONE);
    settle(0, 0, 1);
    CHECK(!scheduler_next_in_pass(&scheduler));
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
    scheduler_begin_pass(&scheduler);
    CHECK(scheduler_next_in_pass(&scheduler) == &trackers[2] && offset_tracker_claim(&trackers[2])->count == 1);
    pass(2, 3);
    scheduler_unclaim(&scheduler, &trackers[2]); /* cut off: it goes with what came meanwhile */
    settle(1, 6, 2);
    CHECK(!scheduler_next_in_pass(&scheduler));
    scheduler_begin_pass(&scheduler);
    settle(2, 3, 2);
    CHECK(!scheduler_claimable(&scheduler) && scheduler.in_flight == 0);
    end();
}

static void has_no_turn_while_a_lower_one_that_came_late_is_unfinished(void) {
    begin(true);
    pass(0, 5);
    pass(1, 1);
    enqueue(0, 3);
    CHECK(list_empty(&trackers[0].moved));
    pass(0, 6);
    CHECK(list_empty(&trackers[0].moved));
    scheduler_begin_pass(&scheduler);
    settle(1, 1, 1);
    CHECK(!scheduler_next_in_pass(&scheduler) && !scheduler_claimable(&scheduler));
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
    scheduler_begin_pass(&scheduler);
    settle(0, 6, 3);
    end();
}

/* It belongs to a checkpoint like all that is unsettled, but nobody has to work on it. */
static void belongs_to_the_checkpoint(void) {
    begin(false);
    pass(0, 0);
    pass(0, 4);
    enqueue(1, 0);
    pass(1, 1);
    for (int i = 0; i < TRACKERS; i++) {
        scheduler_mark(&scheduler, &trackers[i]);
    }
    CHECK(scheduler.marked == 2 && scheduler.marked_unfinished == 1 && trackers[0].mark == 4 && trackers[1].mark == 1);
    pass(0, 5); /* after it */
    pass(2, 0);
    CHECK(scheduler.marked == 2 && scheduler.marked_unfinished == 1 && trackers[0].mark == 4);
    scheduler_finish(&scheduler, scheduler_take(&scheduler));
    CHECK(scheduler.marked == 2 && scheduler.marked_unfinished == 0);
    scheduler_begin_pass(&scheduler);
    settle(0, 0, 1);
    settle(2, 0, 1);
    settle(1, 0, 1);
    CHECK(scheduler.marked == 2);
    scheduler_begin_pass(&scheduler);
    settle(0, 4, 1);
    CHECK(scheduler.marked == 1);
    settle(1, 1, 1);
    CHECK(scheduler.marked == 0 && scheduler.in_flight == 1);
    enqueue(1, 2); /* enqueued by what acknowledges 0/5: it is marked if that is */
    scheduler_follow_up(&scheduler, &trackers[0], 5, &trackers[1]);
    CHECK(scheduler.marked == 0);
    scheduler_mark(&scheduler, &trackers[0]);
    scheduler_follow_up(&scheduler, &trackers[0], 5, &trackers[1]);
    CHECK(scheduler.marked == 2 && trackers[1].mark == 2 && scheduler.marked_unfinished == 1);
    end();
}

static void ignore(struct sub_key_queue *shortened, void *data) {
    CHECK(shortened == &queue && !data);
}

static void is_forgotten_with_its_assignment(bool underway) {
    begin(false);
    pass(0, 0);
    pass(0, 1);
    enqueue(0, 2);
    pass(0, 3);
    pass(1, 0);
    scheduler_mark(&scheduler, &trackers[0]);
    scheduler_begin_pass(&scheduler);
    if (underway) {
        CHECK(scheduler_next_in_pass(&scheduler) == &trackers[0] && offset_tracker_claim(&trackers[0]));
    }
    scheduler_revoke(&scheduler, &trackers[0], ignore, NULL);
    CHECK(scheduler.total_dropped == (underway ? 3 : 4) && scheduler.in_flight == (underway ? 2 : 1));
    CHECK(scheduler.marked == 0 && list_empty(&trackers[0].moved) && !offset_tracker_bytes(&trackers[0]));
    if (underway) {
        scheduler_unclaim(&scheduler, &trackers[0]);
        CHECK(scheduler.total_dropped == 4 && list_empty(&trackers[0].moved));
    }
    settle(1, 0, 1);
    CHECK(!scheduler_claimable(&scheduler) && scheduler.in_flight == 0 && scheduler.total_acknowledged == 1);
    end();
}

/* What is offered before and after it starts in its order, also by precedence and while all is held. */
static void leaves_the_order_of_work_alone(bool ranked) {
    static struct sub_key_queue other;
    begin(false);
    sub_key_queue_init(&other);
    pass(0, 0);
    for (int64_t offset = 1; offset < 9; offset += 2) {
        struct sub_key_queue *either = offset % 4 == 1 ? &queue : &other;
        CHECK(ranked ? scheduler_offer_ranked(&scheduler, either, &trackers[0], 0, offset, 0, offset > 4)
                     : scheduler_offer(&scheduler, either, &trackers[0], 0, offset, 0));
        pass(0, offset + 1);
    }
    scheduler_hold(&scheduler, 1, 10);
    pass(0, 9);
    CHECK(!scheduler_ready(&scheduler) && !scheduler_take(&scheduler));
    CHECK(scheduler_next_time(&scheduler) == 11);
    scheduler_release(&scheduler);
    for (int64_t offset = 1; offset < 9; offset += 2) {
        struct item *item = scheduler_take(&scheduler);
        CHECK(item && item->offset == offset);
        pass(0, 100 + offset);
        scheduler_finish(&scheduler, item);
    }
    for (int64_t offset = 0; offset < 10; offset++) {
        scheduler_begin_pass(&scheduler);
        settle(0, offset, 1);
    }
    CHECK(scheduler.total_tries == 4 && scheduler.in_flight == 4 && sub_key_queue_idle(&other));
    end();
}

int main(void) {
    is_acknowledged_unseen();
    takes_no_room_of_what_is_unfinished();
    gives_its_tracker_one_turn_in_order();
    has_no_turn_while_a_lower_one_that_came_late_is_unfinished();
    belongs_to_the_checkpoint();
    for (int i = 0; i < 2; i++) {
        changes_nothing_without_memory(i);
        is_forgotten_with_its_assignment(i);
        leaves_the_order_of_work_alone(i);
    }
    return checked("scheduler_finished");
}
