#include "load.h"

#include "../manager/manager.h"

/* In all */

/*
 * call-seq: unfinished
 *
 * How many messages wait or run.
 */
static VALUE unfinished(VALUE self) {
    return UINT2NUM(scheduler_unfinished(&manager_get(self)->scheduler));
}

/*
 * call-seq: bytes
 *
 * What the messages that wait or run weigh: their payloads, keys and headers.
 */
static VALUE bytes(VALUE self) {
    return ULL2NUM(manager_get(self)->weight.total);
}

/*
 * call-seq: bytes_left
 *
 * How many bytes may still come in.
 */
static VALUE bytes_left(VALUE self) {
    const struct weight *weight = &manager_get(self)->weight;
    return ULL2NUM(weight_full(weight) ? 0 : weight->most - weight->total);
}

/* Of one partition */

/*
 * call-seq: bytes_of(partition)
 *
 * What the messages of a partition that wait or run weigh.
 */
static VALUE bytes_of(VALUE self, VALUE key) {
    const struct partition *partition = manager_partition(self, key);
    return partition ? ULL2NUM(partition->weight) : INT2FIX(0);
}

/*
 * call-seq: unfinished_of(partition)
 *
 * How many messages of a partition wait or run.
 */
static VALUE unfinished_of(VALUE self, VALUE key) {
    const struct partition *partition = manager_partition(self, key);
    return partition ? ULL2NUM((uint64_t)partition->tracker.waiting + partition->tracker.running) : INT2FIX(0);
}

/*
 * call-seq: running_of(partition)
 *
 * How many messages of a partition run, or are under way as dead letters.
 */
static VALUE running_of(VALUE self, VALUE key) {
    const struct partition *partition = manager_partition(self, key);
    return partition ? UINT2NUM(partition->tracker.running) : INT2FIX(0);
}

/*
 * call-seq: next_offset(partition)
 *
 * The offset after the highest one that came in of a partition; nil: none did.
 */
static VALUE next_offset(VALUE self, VALUE key) {
    const struct partition *partition = manager_partition(self, key);
    bool received = partition && partition->tracker.highest != OFFSET_NONE;
    return received ? LL2NUM(partition->tracker.highest + 1) : Qnil;
}

/* Of every partition */

/* [name, unfinished messages, their bytes, how many of them are crowded, messages finished so far] */
static void add_load(struct keyed *entry, void *data) {
    const struct partition *partition = (const struct partition *)entry;
    const struct offset_tracker *tracker = &partition->tracker;
    uint64_t unfinished = (uint64_t)tracker->waiting + tracker->running;
    VALUE row[] = {entry->key, ULL2NUM(unfinished), ULL2NUM(partition->weight), UINT2NUM(tracker->crowded),
                   ULL2NUM(tracker->received - tracker->abandoned - unfinished)};
    rb_ary_push(*(VALUE *)data, rb_ary_new_from_values(sizeof row / sizeof *row, row));
}

/*
 * call-seq: loads(messages, bytes)
 *
 * What each partition holds: [name, unfinished messages, their bytes, how many of them are more than max_in_queue on
 * their sub key, messages finished so far]; nil when there are none of the fourth, and all together hold no more than
 * so many messages and bytes.
 */
static VALUE loads(VALUE self, VALUE messages, VALUE bytes) {
    const struct manager *manager = manager_get(self);
    const struct scheduler *scheduler = &manager->scheduler;
    if (!scheduler->crowded && scheduler_unfinished(scheduler) <= NUM2ULL(messages) &&
        manager->weight.total <= NUM2ULL(bytes)) {
        return Qnil;
    }
    VALUE rows = rb_ary_new();
    key_table_each(&manager->registry.partitions, add_load, &rows);
    return rows;
}

void init_load(VALUE feeding) {
    rb_define_method(feeding, "unfinished", unfinished, 0);
    rb_define_method(feeding, "bytes", bytes, 0);
    rb_define_method(feeding, "bytes_left", bytes_left, 0);
    rb_define_method(feeding, "bytes_of", bytes_of, 1);
    rb_define_method(feeding, "unfinished_of", unfinished_of, 1);
    rb_define_method(feeding, "running_of", running_of, 1);
    rb_define_method(feeding, "next_offset", next_offset, 1);
    rb_define_method(feeding, "loads", loads, 2);
}
