/*
 * Every order of events in a small manager (model.h): two workers, two sub keys, two partitions, three messages;
 * threads killed anywhere, wake-ups lost, messages that fail, a revoke, a flush, a drain, a shutdown. In no state may
 * something be able to go on and nobody come: from each of them, when nothing more happens from outside, all must come
 * to its end.
 */
#include "check.h"
#include "model.h"

#include <string.h>

#define MAX_STATES 2000000u
#define MAX_DEPTH 200

/* The states found, as a tree: how each was first reached. */
struct node {
    uint32_t parent;
    struct event event;
};

static struct node *nodes;
static uint32_t node_count;
static unsigned char (*digests)[DIGEST_SIZE];

static uint32_t *table; /* open addressing: node numbers + 1 */
#define TABLE_SIZE (1u << 22u)

static uint32_t hash_of(const unsigned char *digest) {
    uint64_t hash = 14695981039346656037u;
    for (unsigned i = 0; i < DIGEST_SIZE; i++) {
        hash = (hash ^ digest[i]) * 1099511628211u;
    }
    return (uint32_t)(hash ^ (hash >> 32u)) % TABLE_SIZE;
}

/* Returns false when the state is known. */
static bool add_state(const struct model *model, uint32_t parent, struct event event) {
    unsigned char digest[DIGEST_SIZE];
    model_digest(model, digest);
    uint32_t slot = hash_of(digest);
    while (table[slot]) {
        if (memcmp(digests[table[slot] - 1], digest, DIGEST_SIZE) == 0) {
            return false;
        }
        slot = (slot + 1) % TABLE_SIZE;
    }
    CHECK(node_count < MAX_STATES);
    memcpy(digests[node_count], digest, DIGEST_SIZE);
    nodes[node_count] = (struct node){.parent = parent, .event = event};
    table[slot] = ++node_count;
    return true;
}

static struct budget budget;
static bool latest;

/* Makes the model anew and has happen what led to a state. Returns how many events that were. */
static unsigned replay(struct model *model, uint32_t node, struct event *path) {
    unsigned length = 0;
    for (uint32_t at = node; at != 0; at = nodes[at].parent) {
        path[length++] = nodes[at].event;
    }
    model_init(model, budget, latest);
    for (unsigned i = length; i > 0; i--) {
        model_happen(model, path[i - 1]);
    }
    return length;
}

static const char *const names[EVENT_KINDS] = {
    [ENQUEUE] = "enqueue",
    [WORKER_STEPS] = "worker steps",
    [WORKER_FAILS] = "worker fails",
    [WORKER_KILLED] = "worker killed",
    [WORKER_STILLBORN] = "worker stillborn",
    [WORKER_LINGERS] = "worker lingers",
    [WORKER_DEAF] = "worker deaf",
    [ACKNOWLEDGER_STEPS] = "acknowledger steps",
    [ACKNOWLEDGER_KILLED] = "acknowledger killed",
    [ACKNOWLEDGER_STILLBORN] = "acknowledger stillborn",
    [ACKNOWLEDGER_DEAF] = "acknowledger deaf",
    [TIMEKEEPER_STEPS] = "timekeeper steps",
    [TIMEKEEPER_KILLED] = "timekeeper killed",
    [TIMEKEEPER_STILLBORN] = "timekeeper stillborn",
    [TIMEKEEPER_LINGERS] = "timekeeper lingers",
    [TIMEKEEPER_DEAF] = "timekeeper deaf",
    [TIME_PASSES] = "time passes",
    [TICK_OVER] = "tick over",
    [WATCH] = "watch",
    [NAP] = "nap",
    [REVOKE] = "revoke",
    [FLUSH] = "flush",
    [DRAIN] = "drain",
    [SHUT_DOWN] = "shut down",
};

static void tell(const struct model *model, const struct event *path, unsigned length) {
    for (unsigned i = length; i > 0; i--) {
        fprintf(stderr, "  %s %u\n", names[path[i - 1].kind], path[i - 1].number);
    }
    const struct roster *roster = &model->roster;
    fprintf(stderr, "ready %u, running %u, in flight %u; workers %u, idle %u, coming %u; acknowledger %u, closing %u; ",
            model->scheduler.ready, model->scheduler.running, (unsigned)model->scheduler.in_flight, roster->workers,
            roster->idle, roster->coming, (unsigned)roster->acknowledger, roster->closing);
    fprintf(stderr, "flushing %u, draining %u, stopping %u\n", model->flushing, model->draining, model->stopping);
}

#define CHOICES (EVENT_KINDS * WORKERS)

static struct event choice(unsigned number) {
    return (struct event){.kind = number / WORKERS, .number = number % WORKERS};
}

/* Has one of the manager's own events happen, a timer only when nothing else can. Returns false when there is none. */
static bool go_on(struct model *model, unsigned turn) {
    for (unsigned timers = 0; timers <= 1; timers++) {
        for (unsigned i = 0; i < CHOICES; i++) {
            unsigned which = (i + turn) % CHOICES;
            struct event event = choice(which);
            if ((timers ? model_own_timer(event) : model_own(event)) && model_allows(model, event)) {
                model_happen(model, event);
                return true;
            }
        }
    }
    return false;
}

/* Everything that can be done is done. */
static bool complete(const struct model *model) {
    const struct roster *roster = &model->roster;
    bool settled = roster_settled(roster, &model->scheduler);
    bool all_done = model->cut_off || model->scheduler.in_flight == 0;
    bool gone = !roster->closing || roster_stopped(roster, &model->scheduler);
    return settled && all_done && gone && !model->flushing && !model->draining && !model->stopping;
}

static bool somebody_stillborn(const struct model *model) {
    bool stillborn = model->acknowledger.dead || model->timekeeper.dead;
    for (unsigned i = 0; i < WORKERS; i++) {
        stillborn = stillborn || model->workers[i].dead;
    }
    return stillborn;
}

static void come_to_the_end(struct model *model) {
    for (unsigned turn = 0; turn < 300 && !complete(model) && go_on(model, turn); turn++) {
    }
}

/* With nothing from outside all comes to its end, and then nobody does anything any more (I9). */
static void check_end(struct model *model, const struct event *path, unsigned length) {
    unsigned turn = 0;
    come_to_the_end(model);
    if (!complete(model) && somebody_stillborn(model)) {
        /* When the last of its threads dies before it begins there is nobody to see it, but who comes next. */
        model->budget.shutdowns = 1;
        model_happen(model, (struct event){.kind = SHUT_DOWN});
        come_to_the_end(model);
    }
    if (!complete(model)) {
        fprintf(stderr, "something could go on, and nobody comes:\n");
        tell(model, path, length);
    }
    CHECK(complete(model));
    if (model->scheduler.in_flight) {
        return; /* cut off: it is watched for ever */
    }
    for (turn = 0; turn < 300 && go_on(model, turn); turn++) {
    }
    CHECK(turn < 300);
    bool nobody =
        !model->roster.workers && model->roster.acknowledger == THREAD_GONE && model->roster.timekeeper == THREAD_GONE;
    CHECK(!model->roster.transient || nobody || somebody_stillborn(model));
}

static void expand(uint32_t node, const bool *allowed) {
    struct event path[MAX_DEPTH];
    struct model model;
    for (unsigned i = 0; i < CHOICES; i++) {
        if (allowed[i]) {
            replay(&model, node, path);
            model_happen(&model, choice(i));
            add_state(&model, node, choice(i));
            model_destroy(&model);
        }
    }
}

static void visit(uint32_t node) {
    struct event path[MAX_DEPTH];
    struct model model;
    bool allowed[CHOICES];
    unsigned length = replay(&model, node, path);
    CHECK(length < MAX_DEPTH);
    for (unsigned i = 0; i < CHOICES; i++) {
        allowed[i] = model_allows(&model, choice(i));
    }
    check_end(&model, path, length);
    model_destroy(&model);
    expand(node, allowed);
}

static void explore(const char *name, struct budget from_outside, bool only_latest) {
    struct model model;
    budget = from_outside;
    latest = only_latest;
    node_count = 0;
    memset(table, 0, TABLE_SIZE * sizeof *table);
    model_init(&model, budget, latest);
    add_state(&model, 0, (struct event){0});
    model_destroy(&model);
    for (uint32_t node = 0; node < node_count; node++) {
        visit(node);
    }
    printf("%s: %u states\n", name, node_count);
}

/* The acknowledger rests; a caller waits for room that only acknowledging makes. */
static void does_not_rest_while_what_is_finished_leaves_no_room(void) {
    struct model model;
    model_init(&model, (struct budget){.messages = MESSAGES}, true);
    struct scheduler *scheduler = &model.scheduler;
    struct roster *roster = &model.roster;
    scheduler->max_finished = 2;
    roster->acknowledger = THREAD_PARKED;
    roster->resting = roster->watching = true;
    roster->room_awaited = 1;
    for (int i = 0; i < 2; i++) {
        CHECK(scheduler_room(scheduler, NULL, 0) == ROOM && !roster_pass_due(roster, scheduler));
        CHECK(scheduler_offer(scheduler, &model.queues[0], &model.trackers[0], 0, i, 0));
        scheduler_finish(scheduler, scheduler_take(scheduler));
    }
    CHECK(scheduler_room(scheduler, NULL, 0) == BACKLOG_FULL && roster_pass_due(roster, scheduler));
    CHECK(roster_acknowledger_call(roster, scheduler) == CALL_WAKE);
    roster->room_awaited = 0;
    CHECK(!roster_pass_due(roster, scheduler));
    model_destroy(&model);
}

int main(void) {
    does_not_rest_while_what_is_finished_leaves_no_room();
    nodes = malloc(MAX_STATES * sizeof *nodes);
    digests = malloc(MAX_STATES * sizeof *digests);
    table = malloc(TABLE_SIZE * sizeof *table);
    CHECK(nodes && digests && table);
    explore("kill, revoke, flush, shutdown",
            (struct budget){.messages = 3, .kills = 1, .revokes = 1, .flushes = 1, .shutdowns = 1}, true);
    explore("every: kill, revoke, flush, shutdown",
            (struct budget){.messages = 2, .kills = 1, .revokes = 1, .flushes = 1, .shutdowns = 1}, false);
    explore("lost wake-ups and kills", (struct budget){.messages = 2, .kills = 1, .lost = 1, .flushes = 1}, true);
    explore("stillborn threads", (struct budget){.messages = 2, .kills = 1, .stillbirths = 1, .flushes = 1}, true);
    explore("transient: kill, shutdown", (struct budget){.transient = true, .messages = 3, .kills = 1, .shutdowns = 1},
            true);
    explore("transient: lost wake-ups and kills",
            (struct budget){.transient = true, .messages = 3, .kills = 1, .lost = 1}, true);
    explore("transient: stillborn threads",
            (struct budget){.transient = true, .messages = 2, .kills = 1, .stillbirths = 1, .shutdowns = 1}, true);
    explore("transient: failures, kill, lost wake-up",
            (struct budget){.transient = true, .messages = 2, .failures = 1, .kills = 1, .lost = 1}, true);
    explore("drain", (struct budget){.messages = 3, .kills = 1, .drains = 1, .revokes = 1}, true);
    explore("failures: kill, revoke", (struct budget){.messages = 2, .failures = 1, .kills = 1, .revokes = 1}, true);
    explore("failures: shutdown", (struct budget){.messages = 3, .failures = 1, .shutdowns = 1}, true);
    explore("failures: lost wake-ups and kills", (struct budget){.messages = 1, .failures = 1, .kills = 1, .lost = 1},
            true);
    explore("failures: stillborn threads", (struct budget){.messages = 1, .failures = 1, .kills = 1, .stillbirths = 1},
            true);
    explore("failures: drain", (struct budget){.messages = 2, .failures = 2, .drains = 1, .flushes = 1}, true);
    free(nodes);
    free(digests);
    free(table);
    return checked("roster");
}
