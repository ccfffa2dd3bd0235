#include "sub_key_queue.h"

#include <stddef.h>

void sub_key_queue_init(struct sub_key_queue *queue) {
    *queue = (struct sub_key_queue){0};
}

void sub_key_queue_push(struct sub_key_queue *queue, struct item *item) {
    item->next = NULL;
    item->previous = queue->last;
    if (queue->last) {
        queue->last->next = item;
    } else {
        queue->first = item;
    }
    queue->last = item;
    queue->waiting++;
}

void sub_key_queue_remove(struct sub_key_queue *queue, struct item *item) {
    if (item->previous) {
        item->previous->next = item->next;
    } else {
        queue->first = item->next;
    }
    if (item->next) {
        item->next->previous = item->previous;
    } else {
        queue->last = item->previous;
    }
    item->next = item->previous = NULL;
    queue->waiting--;
}

bool sub_key_queue_idle(const struct sub_key_queue *queue) {
    return !queue->first && !queue->running && !queue->blocked;
}
