#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"
#include <string.h>
#include <time.h>

#define PARTITIONS 200
#define MESSAGES 100000

static struct scheduler scheduler;
static struct sub_key_queue queues[MESSAGES];
static struct offset_tracker trackers[PARTITIONS];

/* Lets all messages wait, one after the other partition's, on so many sub keys. */
static void begin(int sub_keys) {
    scheduler_init(&scheduler, MESSAGES, MESSAGES);
    for (int i = 0; i < PARTITIONS; i++) {
        offset_tracker_init(&trackers[i], false);
    }
    for (int i = 0; i < sub_keys; i++) {
        sub_key_queue_init(&queues[i]);
    }
    for (int i = 0; i < MESSAGES; i++) {
        struct offset_tracker *tracker = &trackers[i % PARTITIONS];
        CHECK(scheduler_offer(&scheduler, &queues[i % sub_keys], tracker, 0, i, 0));
    }
}

static void end(void) {
    CHECK(scheduler.in_flight == 0 && scheduler.waiting == 0 && !scheduler_ready(&scheduler));
    CHECK(scheduler.total_dropped == MESSAGES && !scheduler.passed.top);
    scheduler_destroy(&scheduler);
    CHECK(pool_bytes(&scheduler.items) == 0);
}

/* As who frees it does: nobody may look at it any more. */
static void free_queue(struct sub_key_queue *queue, void *data) {
    int *freed = data;
    if (!sub_key_queue_idle(queue)) {
        return;
    }
    memset(queue, 0xFF, sizeof *queue);
    (*freed)++;
}

/* Going through a queue for each of its messages would take 5 * 10^9 steps on one sub key; the bound is for a slow
 * machine under sanitizers, with 10^7 steps in mind. */
static void costs_what_the_affected_queues_hold(int sub_keys) {
    begin(sub_keys);
    int freed = 0;
    clock_t start = clock();
    for (int i = 0; i < PARTITIONS; i++) {
        allocations_left = 0; /* it needs none */
        scheduler_revoke(&scheduler, &trackers[i], free_queue, &freed);
        allocations_left = -1;
        CHECK(scheduler.waiting == (uint32_t)(MESSAGES / PARTITIONS * (PARTITIONS - 1 - i)));
        CHECK(trackers[i].waiting == 0 && offset_tracker_bytes(&trackers[i]) == 0);
    }
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 10);
    CHECK(freed == sub_keys);
    end();
}

static void leaves_alone_what_runs(void) {
    begin(1);
    struct item *running = scheduler_take(&scheduler);
    int freed = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        scheduler_revoke(&scheduler, &trackers[i], free_queue, &freed);
        scheduler_revoke(&scheduler, &trackers[i], free_queue, &freed);
    }
    CHECK(freed == 0 && scheduler.running == 1 && trackers[0].running == 1 && queues[0].running == running);
    scheduler_finish(&scheduler, running);
    CHECK(!scheduler_claimable(&scheduler) && sub_key_queue_idle(&queues[0]));
    end();
}

static void goes_back_to_late_ones(void) {
    scheduler_init(&scheduler, MESSAGES, MESSAGES);
    offset_tracker_init(&trackers[0], false);
    sub_key_queue_init(&queues[0]);
    sub_key_queue_init(&queues[1]);
    for (int i = 0; i < MESSAGES; i++) { /* late, each of them but one, and on two sub keys */
        CHECK(scheduler_offer(&scheduler, &queues[i % 2], &trackers[0], 0, MESSAGES - i, 0));
    }
    int freed = 0;
    scheduler_revoke(&scheduler, &trackers[0], free_queue, &freed);
    CHECK(freed == 2);
    end();
}

int main(void) {
    costs_what_the_affected_queues_hold(1);
    costs_what_the_affected_queues_hold(1000);
    costs_what_the_affected_queues_hold(MESSAGES);
    leaves_alone_what_runs();
    goes_back_to_late_ones();
    return checked("revoke");
}
