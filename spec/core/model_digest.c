#include "model.h"

#include <string.h>

static unsigned char *put(unsigned char *end, uint64_t value) {
    *end = (unsigned char)value;
    return end + 1;
}

static unsigned char *put_tracker(unsigned char *end, const struct offset_tracker *tracker) {
    end = put(end, tracker->length);
    end = put(end, tracker->late_length);
    end = put(end, tracker->waiting * 4u + tracker->running);
    end = put(end, (uint64_t)(tracker->passed + 1));
    end = put(end, (uint64_t)(tracker->highest + 1));
    end = put(end, tracker->claim.count * 2 + tracker->claim.underway);
    end = put(end, tracker->revoked);
    return put(end, offset_tracker_claimable(tracker));
}

static unsigned char *put_worker(unsigned char *end, const struct model_worker *worker) {
    end = put(end, worker->state);
    end = put(end, (worker->idle << 5u) | (worker->coming << 4u) | (worker->woken << 3u) | (worker->deaf << 2u) |
                       (worker->dead << 1u) | worker->overdue);
    return put(end, worker->item ? worker->item->message + 1 : 0);
}

/* Which worker is which makes no difference. */
static unsigned char *put_workers(unsigned char *end, const struct model *model) {
    unsigned char *first = end, *second = put_worker(first, &model->workers[0]);
    end = put_worker(second, &model->workers[1]);
    size_t size = (size_t)(second - first);
    unsigned char swapped[DIGEST_SIZE];
    if (memcmp(first, second, size) > 0) {
        memcpy(swapped, first, size);
        memcpy(first, second, size);
        memcpy(second, swapped, size);
    }
    return end;
}

static unsigned char *put_roster(unsigned char *end, const struct roster *roster) {
    end = put(end, roster->workers * 16 + roster->idle * 4 + roster->coming);
    end = put(end, roster->acknowledger);
    end = put(end, (roster->resting << 5u) | (roster->watching << 4u) | (roster->stopped << 3u) |
                       (roster->closing << 2u) | (roster->announced << 1u));
    end = put(end, roster->end_awaited);
    return put(end, roster->acknowledging);
}

static unsigned char *put_budget(unsigned char *end, const struct budget *budget) {
    end = put(end, budget->messages * 16 + budget->kills * 4 + budget->stillbirths);
    end = put(end, budget->failures);
    end = put(end, budget->lost * 16 + budget->revokes * 4 + budget->flushes);
    return put(end, budget->drains * 4 + budget->shutdowns);
}

/* Of times, only whether they have come. */
static unsigned char *put_timekeeper(unsigned char *end, const struct model *model) {
    const struct model_timekeeper *timekeeper = &model->timekeeper;
    const struct roster *roster = &model->roster;
    end = put(end, roster->timekeeper);
    bool parked = roster->timekeeper == THREAD_PARKED || (roster->timekeeper == THREAD_COMING && !timekeeper->started);
    end = put(end, (uint64_t)parked * (1u + (roster->timekeeper_until <= model->now) +
                                       2u * (roster->timekeeper_until == SCHEDULER_NEVER)));
    return put(end, (timekeeper->started << 4u) | (timekeeper->woken << 3u) | (timekeeper->deaf << 2u) |
                        (timekeeper->dead << 1u) | timekeeper->overdue);
}

void model_digest(const struct model *model, unsigned char *digest) {
    unsigned char *end = digest;
    memset(digest, 0, DIGEST_SIZE);
    for (unsigned i = 0; i < PARTITIONS; i++) {
        end = put_tracker(end, &model->trackers[i]);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        const struct sub_key_queue *queue = &model->queues[i];
        end = put(end, queue->waiting * 8 + queue->tried * 4u + queue->resting * 2u +
                           (queue->resting && queue->node.rank <= model->now));
    }
    end = put_workers(end, model);
    end = put_roster(end, &model->roster);
    end = put_timekeeper(end, model);
    const struct model_acknowledger *acknowledger = &model->acknowledger;
    end = put(end, (acknowledger->started << 5u) | (acknowledger->woken << 4u) | (acknowledger->deaf << 3u) |
                       (acknowledger->dead << 2u) | (acknowledger->overdue << 1u) | acknowledger->in_ack);
    end = put(end, acknowledger->tracker ? (uint64_t)(acknowledger->tracker - model->trackers) + 1 : 0);
    end = put(end, (model->flushing << 2u) | (model->draining << 1u) | model->stopping);
    end = put(end, model->flushing ? model->flush_pass - model->roster.passes_over : 0);
    end = put(end, model->scheduler.marked);
    end = put(end, model->cut_off * 4 + model->finished);
    put_budget(end, &model->budget);
}
