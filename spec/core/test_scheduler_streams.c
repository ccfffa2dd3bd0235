/*
 * What streams need of the scheduler: items that are tracked by nobody, with precedences or without, a pause, an alarm.
 * Against a naive model: every item in the order of the offers, and of each sub key only the first that waits counts.
 */
#include "check.h"
#include "core/scheduler.h"

#include "allocation.h"

#define QUEUES 8
#define MOST 300

enum fate { WAITING, RUNNING, OVER, DROPPED };

struct input {
    int queue;
    uint32_t precedence;
    enum fate fate;
    uint64_t not_before; /* it rests until scheduler_advance was told so; 0: it does not */
    struct item *item;
};

static struct scheduler scheduler;
static struct sub_key_queue queues[QUEUES];
static struct offset_tracker nowhere;
static struct input inputs[MOST];
static int offered, waiting, running, finished, dropped;
static uint64_t now, paused_until, alarm_at; /* 0: it is not */
static bool ranked, alarmed;

static void begin(void) {
    scheduler_init(&scheduler, UINT32_MAX, UINT32_MAX);
    for (int i = 0; i < QUEUES; i++) {
        sub_key_queue_init(&queues[i]);
    }
    offset_tracker_init_untracked(&nowhere);
    offered = waiting = running = finished = dropped = 0;
    now = 1;
    paused_until = alarm_at = 0;
    alarmed = false;
}

static void end(void) {
    for (int i = 0; i < QUEUES; i++) {
        scheduler_discard(&scheduler, &queues[i]);
    }
    scheduler_destroy(&scheduler);
    CHECK(pool_bytes(&scheduler.items) == 0);
    CHECK(offset_tracker_pending(&nowhere) == 0 && offset_tracker_bytes(&nowhere) == 0);
}

/* The input of a queue that runs, or else the first that waits there, or NULL. */
static struct input *head(int queue) {
    struct input *found = NULL;
    for (int i = offered - 1; i >= 0; i--) {
        if (inputs[i].queue == queue && inputs[i].fate == RUNNING) {
            return &inputs[i];
        }
        found = inputs[i].queue == queue && inputs[i].fate == WAITING ? &inputs[i] : found;
    }
    return found;
}

/* What is taken next, or NULL. */
static struct input *next(void) {
    struct input *found = NULL;
    for (int queue = 0; queue < QUEUES && !paused_until; queue++) {
        struct input *input = head(queue);
        if (!input || input->fate == RUNNING || input->not_before) {
            continue;
        }
        bool earlier = found && (input->precedence < found->precedence ||
                                 (input->precedence == found->precedence && input < found));
        found = !found || earlier ? input : found;
    }
    return found;
}

static void check_counts(void) {
    CHECK(scheduler_ready(&scheduler) == (next() != NULL));
    CHECK(scheduler.waiting == (uint32_t)waiting && scheduler.running == (uint32_t)running);
    CHECK(scheduler.in_flight == (uint64_t)(waiting + running));
    CHECK(scheduler.total_enqueued == (uint64_t)offered && scheduler.total_acknowledged == (uint64_t)finished);
    CHECK(scheduler.total_dropped == (uint64_t)dropped);
    CHECK(!scheduler_claimable(&scheduler)); /* there is no frontier */
    CHECK(scheduler.alarmed == alarmed && scheduler.paused == (paused_until != 0));
}

/* The time that is due next, as the model knows it. */
static uint64_t next_time(void) {
    uint64_t times[2] = {paused_until, alarm_at}, found = SCHEDULER_NEVER;
    for (int i = 0; i < 2; i++) {
        found = times[i] && times[i] < found ? times[i] : found;
    }
    for (int i = 0; i < offered; i++) {
        bool rests = inputs[i].fate == WAITING && inputs[i].not_before;
        found = rests && inputs[i].not_before < found ? inputs[i].not_before : found;
    }
    return found;
}

/* Steps */

static void offer(int queue, uint32_t precedence) {
    inputs[offered] = (struct input){.queue = queue, .precedence = ranked ? precedence : 0, .fate = WAITING};
    uintptr_t message = (uintptr_t)offered;
    int64_t offset = (int64_t)random_below(100); /* in any order: nobody minds */
    CHECK(ranked ? scheduler_offer_ranked(&scheduler, &queues[queue], &nowhere, message, offset, 0, precedence)
                 : scheduler_offer(&scheduler, &queues[queue], &nowhere, message, offset, 0));
    offered++;
    waiting++;
}

static void take(void) {
    struct input *input = next();
    struct item *item = scheduler_take(&scheduler);
    CHECK((item != NULL) == (input != NULL));
    if (item) {
        CHECK(item->message == (uintptr_t)(input - inputs) && item->queue == &queues[input->queue]);
        input->item = item;
        input->fate = RUNNING;
        waiting--;
        running++;
    }
}

static struct input *some(enum fate fate) {
    uint32_t from = random_below(MOST);
    for (int i = 0; i < offered; i++) {
        struct input *input = &inputs[((int)from + i) % offered];
        if (input->fate == fate) {
            return input;
        }
    }
    return NULL;
}

static void finish(struct input *input) {
    scheduler_finish(&scheduler, input->item);
    input->fate = OVER;
    running--;
    finished++;
}

static void retry(struct input *input) {
    uint64_t until = now + 1 + random_below(20);
    scheduler_retry(&scheduler, input->item, until, false);
    input->fate = WAITING;
    input->not_before = until;
    waiting++;
    running--;
}

/* As a cancel does. */
static void drop(int queue) {
    uint32_t before = (uint32_t)dropped;
    for (int i = 0; i < offered; i++) {
        if (inputs[i].queue == queue && inputs[i].fate == WAITING) {
            inputs[i].fate = DROPPED;
            inputs[i].not_before = 0;
            waiting--;
            dropped++;
        }
    }
    CHECK(scheduler_drop_waiting(&scheduler, &queues[queue]) == (uint32_t)dropped - before);
}

static void advance(uint64_t by) {
    now += by;
    scheduler_advance(&scheduler, now);
    paused_until = paused_until > now ? paused_until : 0;
    alarmed = alarmed || (alarm_at && alarm_at <= now);
    alarm_at = alarm_at > now ? alarm_at : 0;
    for (int i = 0; i < offered; i++) {
        inputs[i].not_before = inputs[i].not_before > now ? inputs[i].not_before : 0;
    }
}

static void set_alarm(uint64_t at) {
    scheduler_set_alarm(&scheduler, at == 0 ? SCHEDULER_NEVER : at);
    alarm_at = at;
}

static void change_times(void) {
    switch (random_below(5)) {
    case 0:
        paused_until = now + 1 + random_below(20); /* anew, perhaps: earlier or later than before */
        scheduler_pause(&scheduler, paused_until);
        break;
    case 1:
        paused_until = 0;
        scheduler_release(&scheduler);
        break;
    case 2:
        set_alarm(random_below(3) ? now + 1 + random_below(30) : 0);
        break;
    default:
        advance(random_below(15));
    }
}

static void step(uint32_t offers, uint32_t spread) {
    struct input *input = some(RUNNING);
    if (random_below(10) < offers && offered < MOST) {
        uint32_t precedence = random_below(20) ? random_below(spread) : HIGHEST_PRECEDENCE;
        offer((int)random_below(QUEUES), precedence);
    } else if (random_below(3) == 0) {
        change_times();
    } else if (random_below(2) && input) {
        random_below(3) ? finish(input) : retry(input);
    } else if (random_below(40) == 0) {
        drop((int)random_below(QUEUES));
    } else {
        take();
    }
    check_counts();
    CHECK(scheduler_next_time(&scheduler) == next_time());
}

static void empty_it(void) {
    while (waiting || running) {
        struct input *input = some(RUNNING);
        if (input) {
            finish(input);
        } else {
            advance(20);
            take();
        }
        check_counts();
    }
    CHECK(finished + dropped == offered);
}

static void does_what_the_model_does(uint64_t run) {
    random_seed(run);
    begin();
    ranked = run % 2;
    uint32_t offers = 1 + random_below(6), spread = 1 + random_below(4);
    for (int i = 0; i < 1000; i++) {
        step(offers, spread);
    }
    if (random_below(2)) {
        empty_it();
    }
    end();
}

static void orders_by_precedence_then_by_age(void) {
    begin();
    ranked = true;
    const uint32_t precedences[] = {5, HIGHEST_PRECEDENCE, 5, 0, 5};
    const int order[] = {3, 0, 2, 4, 1};
    for (int i = 0; i < 5; i++) {
        offer(i, precedences[i]);
    }
    for (int i = 0; i < 5; i++) {
        struct item *item = scheduler_take(&scheduler);
        CHECK(item && (int)item->message == order[i]);
        scheduler_finish(&scheduler, item);
    }
    end();
}

int main(void) {
    orders_by_precedence_then_by_age();
    for (uint64_t run = 1; run <= runs(300); run++) {
        does_what_the_model_does(run);
    }
    return checked("scheduler_streams");
}
