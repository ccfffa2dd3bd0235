/*
 * dropping - what is taken out before it starts.
 */
#ifndef WORK_SHAPER_MANAGER_DROPPING_H
#define WORK_SHAPER_MANAGER_DROPPING_H

struct manager;

/*
 * dropping_tell - Something was dropped: callers that wait for room, or for the end of it, may go on. Runs no Ruby
 * code.
 */
void dropping_tell(struct manager *manager);

#endif
