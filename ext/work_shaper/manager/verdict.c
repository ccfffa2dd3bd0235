#include "verdict.h"

#include "../ruby/clock.h"
#include "../stream/stream.h"
#include "failure.h"
#include "manager.h"

/* Longer than any process lives: some 30 years. */
#define MOST_SECONDS 1e9

struct verdict verdict_of(VALUE value) {
    if (value == Qtrue) {
        return (struct verdict){.kind = VERDICT_FINISH};
    }
    if (NIL_P(value)) {
        return (struct verdict){.kind = VERDICT_KEEP};
    }
    if (RTEST(rb_obj_is_kind_of(value, rb_eException))) {
        return (struct verdict){.kind = VERDICT_STOP, .error = value};
    }
    if (RB_TYPE_P(value, T_ARRAY)) {
        return (struct verdict){.kind = VERDICT_OUTCOME, .outcome = value};
    }
    double seconds = NUM2DBL(value);
    seconds = seconds < 0 ? 0 : seconds > MOST_SECONDS ? MOST_SECONDS : seconds;
    return (struct verdict){.kind = VERDICT_RETRY, .delay = (uint64_t)(seconds * (double)NANOSECONDS_PER_SECOND)};
}

/* The item is over, finished or abandoned (`end`): lets go of what it held. */
static void let_go(struct manager *manager, struct item *item,
                   void (*end)(struct scheduler *scheduler, struct item *item)) {
    struct sub_key *sub_key = sub_key_of(item->queue);
    struct partition *partition = partition_of(item->tracker);
    if (manager->stream) {
        stream_over(manager->stream, item);
    }
    end(&manager->scheduler, item);
    if (!NIL_P(sub_key->failure)) {
        failure_over(sub_key);
    }
    registry_release_sub_key(manager, sub_key);
    if (partition->awaited && !partition->tracker.waiting && !partition->tracker.running) {
        waiters_look(manager);
    }
    registry_release_partition(manager, partition);
}

void verdict_finish(struct manager *manager, struct item *item) {
    let_go(manager, item, scheduler_finish);
}

void verdict_abandon(struct manager *manager, struct item *item) {
    let_go(manager, item, scheduler_abandon);
}

static void retry(struct manager *manager, struct item *item, uint64_t delay) {
    struct sub_key *sub_key = sub_key_of(item->queue);
    bool exempt = !NIL_P(sub_key->failure) && failure_giving_up(sub_key->failure);
    if (manager->stream && !stream_retries(manager->stream, item)) {
        verdict_finish(manager, item);
        return;
    }
    scheduler_retry(&manager->scheduler, item, clock_nanoseconds() + delay, exempt);
    if (manager->drops_retries) {
        registry_drop_sub_key(manager, sub_key);
    }
}

static void keep(struct manager *manager, struct item *item) {
    VALUE answer = failure_keep(sub_key_of(item->queue)->failure);
    if (answer != Qundef) {
        struct verdict verdict = verdict_of(answer);
        verdict_carry_out(manager, item, &verdict);
    }
}

void verdict_carry_out(struct manager *manager, struct item *item, const struct verdict *verdict) {
    switch (item->tracker->revoked && verdict->kind != VERDICT_KEEP ? VERDICT_FINISH : verdict->kind) {
    case VERDICT_FINISH:
        verdict_finish(manager, item);
        break;
    case VERDICT_RETRY:
        retry(manager, item, verdict->delay);
        break;
    case VERDICT_KEEP:
        keep(manager, item);
        break;
    case VERDICT_OUTCOME:
        stream_note_outcome(manager->stream, item, verdict->outcome);
        verdict_finish(manager, item);
        break;
    case VERDICT_STOP:
        if (manager->stream) {
            stream_note_error(manager->stream, item, verdict->error);
            verdict_finish(manager, item);
            break;
        }
        manager_fail(manager, "work", verdict->error, partition_of(item->tracker), item->offset);
        verdict_abandon(manager, item);
        break;
    }
}
