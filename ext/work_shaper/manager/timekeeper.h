/*
 * timekeeper - the thread that sleeps until the scheduler's next time, and lets start what is due then. There is none
 * until something depends on the time: a message that is to be tried again.
 *
 * It runs none of the user's code, so nothing that hangs there can hold it up.
 */
#ifndef WORK_SHAPER_MANAGER_TIMEKEEPER_H
#define WORK_SHAPER_MANAGER_TIMEKEEPER_H

#include <stdbool.h>

struct manager;

/*
 * timekeeper_init - There is no thread yet.
 */
void timekeeper_init(struct manager *manager);

/*
 * timekeeper_try_to_start - Starts the thread if there is none. Does not raise: when it fails, there is still none.
 */
void timekeeper_try_to_start(struct manager *manager);

/*
 * timekeeper_tell - Tells the scheduler the time. For threads that are about to take what may start. Runs no Ruby code.
 */
void timekeeper_tell(struct manager *manager);

#endif
