/*
 * pass - one round of calling `ack`.
 */
#ifndef WORK_SHAPER_MANAGER_PASS_H
#define WORK_SHAPER_MANAGER_PASS_H

#include <stdint.h>

struct manager;

/*
 * acknowledge_pass - Acknowledges what can be acknowledged now, on the acknowledger's thread.
 *
 * A StandardError out of `ack` is logged and ends all acknowledging; any other exception does the same and then
 * propagates; when the thread is killed, the offsets are offered again. Runs Ruby code. Returns how many offsets were
 * settled.
 */
uint64_t acknowledge_pass(struct manager *manager);

#endif
