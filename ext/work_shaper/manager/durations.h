/*
 * durations - how long messages waited and were worked on, counted per topic, or whatever their partitions have in
 * common.
 */
#ifndef WORK_SHAPER_MANAGER_DURATIONS_H
#define WORK_SHAPER_MANAGER_DURATIONS_H

#include "../core/histogram.h"

#include <ruby/ruby.h>
#include <stdint.h>

struct manager;
struct partition;

/* Of a partition with this key; runs no Ruby code, and raises nothing but NoMemoryError. */
typedef VALUE topic_of(VALUE key);

/* Nanoseconds. They live as long as the manager, whatever becomes of the partitions. */
struct durations {
    VALUE of; /* the topic; nil: of all that belongs to none */
    struct histogram queue, work;
    struct durations *next;
};

/*
 * durations_init - For a manager that is made: there are those of nil.
 */
void durations_init(struct durations *durations);

/*
 * durations_of - Those with which a partition's are counted; NULL: a stream's are not. Raises NoMemoryError.
 */
struct durations *durations_of(struct manager *manager, struct partition *partition);

/*
 * durations_mark, durations_destroy, durations_bytes - For the garbage collector.
 */
void durations_mark(const struct durations *durations);
void durations_destroy(struct durations *durations);
size_t durations_bytes(const struct durations *durations);

/*
 * durations_rows - [[topic or nil, Histogram of the queue, Histogram of the work], ...], as they are now.
 */
VALUE durations_rows(const struct durations *durations);

#endif
