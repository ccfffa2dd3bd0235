/*
 * enqueue - how messages come in: checks, waits for room, and hands them to the scheduler.
 */
#ifndef WORK_SHAPER_MANAGER_ENQUEUE_H
#define WORK_SHAPER_MANAGER_ENQUEUE_H

#include <ruby/ruby.h>
#include <stdint.h>

struct manager;

/*
 * manager_enqueue - Enqueues a message without checking the limits.
 *
 * offset: from 0.
 * Raises ShuttingDown, ThreadError, NoMemoryError, and what the keys' #hash and #eql? raise; nothing has changed then.
 */
void manager_enqueue(struct manager *manager, VALUE sub_key, VALUE message, VALUE partition, int64_t offset);

/*
 * init_enqueue - Defines enqueue and try_enqueue.
 */
void init_enqueue(VALUE manager_class);

#endif
