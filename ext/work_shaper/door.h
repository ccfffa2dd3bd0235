/*
 * door - where messages come in: checks, waits for room, and hands them to the scheduler.
 */
#ifndef WORK_SHAPER_DOOR_H
#define WORK_SHAPER_DOOR_H

#include "manager.h"

/*
 * door_let_in - Enqueues a message without a look at the limits.
 *
 * offset: from 0.
 * Raises ShuttingDown, NoMemoryError, and what the keys' #hash and #eql? raise; nothing has changed then.
 */
void door_let_in(struct manager *manager, VALUE sub_key, VALUE message, VALUE partition, int64_t offset);

#endif
