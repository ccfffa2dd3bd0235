#include "sub_key_queue.h"

#include <stddef.h>

void sub_key_queue_init(struct sub_key_queue *queue) {
    *queue = (struct sub_key_queue){0};
}

void sub_key_queue_push(struct sub_key_queue *queue, struct item *item) {
    item->next = NULL;
    if (queue->last) {
        queue->last->next = item;
    } else {
        queue->first = item;
    }
    queue->last = item;
}

void sub_key_queue_unshift(struct sub_key_queue *queue, struct item *item) {
    item->next = queue->first;
    queue->first = item;
    if (!queue->last) {
        queue->last = item;
    }
}

struct item *sub_key_queue_shift(struct sub_key_queue *queue) {
    struct item *item = queue->first;
    queue->first = item->next;
    if (!queue->first) {
        queue->last = NULL;
    }
    item->next = NULL;
    return item;
}

struct item *sub_key_queue_extract(struct sub_key_queue *queue, const struct offset_tracker *tracker, int64_t above) {
    struct sub_key_queue kept = {0}, extracted = {0};
    struct item *item = queue->first;
    while (item) {
        struct item *next = item->next;
        bool meant = item->tracker == tracker && item->offset > above;
        sub_key_queue_push(meant ? &extracted : &kept, item);
        item = next;
    }
    queue->first = kept.first;
    queue->last = kept.last;
    return extracted.first;
}

bool item_waits(const struct item *item) {
    return item->queue->running != item;
}

bool sub_key_queue_idle(const struct sub_key_queue *queue) {
    return !queue->waiting && !queue->running;
}
