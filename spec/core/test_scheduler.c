#include "scheduler_model.h"

#include "allocation.h"

static void offer(void) {
    int queue = (int)random_below(QUEUES), partition = (int)random_below(TRACKERS);
    if (stuck && random_below(8)) {
        partition = 0;
    }
    uint32_t ahead = random_below(3);
    uint32_t unfinished = (uint32_t)(count(WAITING, -1) + count(RUNNING, -1));
    enum room_left room = scheduler_room(&scheduler, &queues[queue], 0);
    bool full = count(WAITING, queue) >= (int)scheduler.max_in_queue;
    CHECK((room == SUB_KEY_FULL) == full); /* I7 */
    CHECK((room == FLIGHT_FULL) == (!full && unfinished >= scheduler.max_in_flight));
    CHECK((room == BACKLOG_FULL) == (!full && unfinished < scheduler.max_in_flight &&
                                     scheduler.in_flight - unfinished >= scheduler.max_finished));
    CHECK((scheduler_room(&scheduler, NULL, ahead) == FLIGHT_FULL) == (unfinished + ahead >= scheduler.max_in_flight));
    bool crowds = full && unfinished < scheduler.max_in_flight && random_below(4) == 0;
    if ((room != ROOM && !crowds) || enqueued == MOST) {
        return;
    }
    int64_t *next = &next_offset[partition];
    struct offset_tracker *tracker = trackers[partition];
    bool late = random_below(10) == 0 && (tracker->every || !stuck); /* of the latest, runs would hide what it claims */
    int64_t offset = late ? (int64_t)random_below((uint32_t)*next + 1) : (*next)++;
    if (offset >= *next) {
        *next = offset + 1;
    }
    messages[enqueued] =
        (struct message){.queue = queue, .tracker = tracker, .offset = offset, .fate = WAITING, .crowded = crowds};
    uintptr_t carried = (uintptr_t)enqueued;
    if (random_below(20) == 0) { /* without memory nothing changes */
        struct scheduler before = scheduler;
        allocations_left = 0;
        bool taken = scheduler_offer(&scheduler, &queues[queue], tracker, carried, offset, 0);
        allocations_left = -1;
        if (taken) {
            enqueued++;
            return;
        }
        CHECK(before.in_flight == scheduler.in_flight && before.total_enqueued == scheduler.total_enqueued);
        CHECK(before.waiting == scheduler.waiting);
    }
    CHECK(scheduler_offer(&scheduler, &queues[queue], tracker, carried, offset, 0));
    enqueued++;
}

/* What was worked on in another assignment may come in whatever the limits say, and nothing is to be done for it. */
static void offer_finished(void) {
    int partition = (int)random_below(TRACKERS);
    if (enqueued == MOST || (stuck && enqueued == 0)) {
        return;
    }
    int64_t offset = next_offset[partition] + random_below(3);
    allocations_left = random_below(8) ? -1 : 0;
    bool taken = scheduler_offer_finished(&scheduler, trackers[partition], offset);
    CHECK(taken || allocations_left == 0);
    allocations_left = -1;
    if (taken) { /* else nothing has changed */
        messages[enqueued++] =
            (struct message){.queue = -1, .tracker = trackers[partition], .offset = offset, .fate = FINISHED};
        next_offset[partition] = offset + 1;
    }
}

static void take(void) {
    bool probe = held && oldest_exempt() < 0;
    int index = next_to_start();
    struct item *item = scheduler_take(&scheduler);
    CHECK((item != NULL) == (index >= 0)); /* I5: no lost wake-up */
    if (!item) {
        return;
    }
    CHECK((int)item->message == index); /* I2 */
    CHECK(item->offset == messages[index].offset);
    messages[index].fate = RUNNING;
    messages[index].crowded = false;
    messages[index].item = item;
    CHECK(item->queue->probing == probe);
    if (probe) {
        probed = index;
        probe_due = false;
    }
}

static void finish(void) {
    int index = random_running();
    if (index >= 0) {
        messages[index].fate = messages[index].fate == RUNNING ? FINISHED : DROPPED;
        scheduler_finish(&scheduler, messages[index].item);
        tries += !messages[index].exempt;
    }
}

/* What runs failed. (What is fenced is not tried again.) */
static void retry(void) {
    int index = random_running();
    if (index < 0 || messages[index].fate == FENCED) {
        return;
    }
    tries += !messages[index].exempt;
    messages[index].fate = WAITING;
    messages[index].not_before = now + random_below(50);
    messages[index].rests = true;
    messages[index].exempt = random_below(5) == 0;
    scheduler_retry(&scheduler, messages[index].item, messages[index].not_before, messages[index].exempt);
}

/* No work can start when a probe is called: what would be due first may, unless it is being given up. */
static void note_woken(void) {
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].rests && messages[i].fate == WAITING && !queues[messages[i].queue].resting) {
            CHECK(!messages[i].exempt);
            for (int other = 0; other < enqueued; other++) {
                bool rests = messages[other].rests && messages[other].fate == WAITING && !messages[other].exempt;
                CHECK(!rests || messages[other].not_before >= messages[i].not_before);
            }
            messages[i].rests = false;
            return;
        }
    }
}

static void advance(uint32_t most) {
    now += random_below(most);
    bool called = held && next_probe <= now;
    if (called) {
        probe_due = true;
        next_probe = now + probe_period;
    }
    for (int i = 0; i < enqueued; i++) {
        messages[i].rests = messages[i].rests && messages[i].not_before > now;
    }
    scheduler_advance(&scheduler, now);
    if (called) {
        note_woken();
    }
}

static void hold(void) {
    if (!held) {
        probed = -1;
    }
    held = true;
    probe_due = false;
    probe_period = 1 + random_below(100);
    next_probe = now + probe_period;
    scheduler_hold(&scheduler, now, probe_period);
}

static void release(void) {
    held = probe_due = false;
    scheduler_release(&scheduler);
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

static void told_of(struct sub_key_queue *queue, void *data) {
    int *told = data;
    told[queue - queues]++;
}

static void told_idle(struct sub_key_queue *queue, void *data) {
    int *told = data;
    if (!sub_key_queue_idle(queue)) {
        return;
    }
    CHECK(!queue->first && !queue->node.rank && !queue->tried && !queue->resting);
    told[queue - queues]++;
}

static void drop_above(void) {
    struct offset_tracker *tracker = trackers[random_below(TRACKERS)];
    int64_t finished = highest_finished(tracker);
    CHECK(offset_tracker_highest_finished(tracker) == finished);
    int64_t offset = random_below(2) ? finished : random_below(2) ? OFFSET_NONE : (int64_t)random_below(100);
    int shortened[QUEUES] = {0}, told[QUEUES] = {0};
    uint32_t waiting = 0;
    for (int i = 0; i < enqueued; i++) {
        if (messages[i].tracker == tracker && messages[i].fate == WAITING && messages[i].offset > offset) {
            messages[i].fate = LEFT;
            shortened[messages[i].queue] = 1;
            waiting++;
        }
    }
    CHECK(scheduler_drop_above(&scheduler, tracker, offset, told_of, told) == waiting);
    CHECK(!memcmp(told, shortened, sizeof told));
}

/* Counts what is visited and waits. */
static void visited(struct item *item, void *data) {
    int *waiting = data;
    const struct message *message = &messages[item->message];
    CHECK(message->offset == item->offset && (message->fate == WAITING || message->fate == RUNNING));
    CHECK(item_waits(item) == (message->fate == WAITING));
    *waiting += item_waits(item);
}

/* Ends the assignment of a partition and begins a new one, as a rebalance does. */
static void revoke(void) {
    int partition = (int)random_below(TRACKERS);
    struct offset_tracker *tracker = trackers[partition];
    uint32_t running = tracker->running;
    int idle_thereby[QUEUES], told[QUEUES] = {0};
    for (int queue = 0; queue < QUEUES; queue++) {
        int waiting = waiting_of(tracker, queue);
        idle_thereby[queue] = waiting && waiting == count(WAITING, queue) && !queues[queue].running;
    }
    int waiting = 0;
    offset_tracker_each_unfinished(tracker, visited, &waiting);
    CHECK(waiting == (int)tracker->waiting);
    mark_revoked(tracker);
    scheduler_revoke(&scheduler, tracker, told_idle, told);
    mark[tracker - assigned] = OFFSET_NONE;
    for (int queue = 0; queue < QUEUES; queue++) {
        CHECK(told[queue] == idle_thereby[queue]);
    }
    CHECK(tracker->running == running && tracker->waiting == 0 && !offset_tracker_bytes(tracker));
    assign(partition);
}

static void begin_pass(void) {
    scheduler_begin_pass(&scheduler);
    int from = 0;
    for (int to = 0; to < TRACKERS; to++) {
        if (!listed[0][to]) {
            listed[0][to] = listed[1][from];
            listed[1][from++] = NULL;
        }
    }
}

/* Claims what can be claimed, and checks that it is safe: I3 over the messages of this assignment. */
static void claim_next(void) {
    struct offset_tracker *tracker = scheduler_next_in_pass(&scheduler);
    CHECK(tracker == listed[0][0]);
    if (!tracker) {
        begin_pass();
        return;
    }
    listed[0][0] = NULL;
    const struct claim *claim = offset_tracker_claim(tracker);
    note_claimed(tracker);
    if (!claim) {
        return;
    }
    acknowledging = tracker;
    for (int i = 0; claim->due && i < enqueued; i++) {
        if (messages[i].tracker == tracker && messages[i].offset <= claim->offset) {
            CHECK(messages[i].fate == FINISHED);
        }
    }
}

static void acknowledge(void) {
    struct offset_tracker *tracker = acknowledging;
    acknowledging = NULL;
    if (!tracker) {
        claim_next();
    } else if (random_below(6) == 0) {
        scheduler_unclaim(&scheduler, tracker);
    } else {
        note_settled(tracker);
        scheduler_settle(&scheduler, tracker, random_below(5) != 0);
    }
}

static void raise_mark(const struct offset_tracker *tracker, int64_t offset) {
    int64_t *due = &mark[tracker - assigned];
    if (*due < offset && unsettled(tracker, offset)) {
        *due = offset;
    }
}

/* Begins a checkpoint, or adds to the one there is: of one partition or all. */
static void mark_some(void) {
    int only = (int)random_below(TRACKERS * 2);
    for (int i = 0; i < TRACKERS; i++) {
        if (only >= TRACKERS || only == i) {
            scheduler_mark(&scheduler, trackers[i]);
            raise_mark(trackers[i], trackers[i]->highest);
        }
    }
}

/* Lets what runs be the one that enqueued the last message. */
static void follow_up(void) {
    int running = random_running();
    if (running < 0) {
        return;
    }
    const struct message *message = &messages[enqueued - 1];
    struct offset_tracker *tracker = &assigned[message->tracker - assigned];
    scheduler_follow_up(&scheduler, messages[running].tracker, messages[running].offset, tracker);
    if (mark[messages[running].tracker - assigned] >= messages[running].offset && !tracker->revoked) {
        raise_mark(tracker, tracker->highest);
    }
}

static void run_to_the_end(void) {
    release();
    stuck = false;
    while (scheduler.waiting || random_running() >= 0) {
        advance(60);
        take();
        finish();
        check_passes();
    }
}

static void keeps_the_invariants_whatever_happens(uint64_t run) {
    random_seed(run);
    begin(1 + random_below(8), 1 + random_below(60));
    scheduler.max_finished = random_below(4) ? 200 : 1 + random_below(30);
    bool abandons = random_below(8) == 0, revokes = random_below(3) == 0, drops = random_below(6) == 0;
    bool fails = random_below(2), holds = fails && random_below(2), passes = random_below(2);
    stuck = random_below(5) == 0;
    for (int step = 0; step < (stuck ? 1000 : 500); step++) {
        uint32_t action = random_below(12);
        if (action < 4) {
            passes &&random_below(3) == 0 ? offer_finished() : offer();
            if (random_below(4) == 0) {
                follow_up();
            }
        } else if (random_below(40) == 0) {
            mark_some();
        } else if (action < 7) {
            take();
        } else if (action < 10) {
            if (fails && random_below(3) == 0) {
                retry();
            } else {
                finish();
            }
        } else if (fails && random_below(3) == 0) {
            advance(30);
        } else if (holds && random_below(20) == 0) {
            random_below(3) ? hold() : release();
        } else if (action == 10) {
            acknowledge();
        } else if (revokes && random_below(10) == 0) {
            revoke();
        } else if (abandons && random_below(20) == 0) {
            abandon();
        } else if (drops && random_below(20) == 0) {
            random_below(2) ? drop_waiting() : drop_above();
        }
        check_counters();
        check_passes();
    }
    run_to_the_end();
    while (acknowledging || scheduler_claimable(&scheduler)) {
        acknowledge();
        check_counters();
        check_passes();
    }
    CHECK(count(WAITING, -1) == 0 && scheduler.running == 0);
    CHECK(count(ABANDONED, -1) || count(LEFT, -1) || scheduler.in_flight + scheduler.marked == 0); /* I5 */
    end();
}

int main(void) {
    CHECK(sizeof(void *) != 8 || sizeof(struct item) == 56);
    CHECK(sizeof(void *) != 8 || sizeof(struct sub_key_queue) == 64);
    for (uint64_t run = 1; run <= runs(2000); run++) {
        keeps_the_invariants_whatever_happens(run);
    }
    return checked("scheduler");
}
