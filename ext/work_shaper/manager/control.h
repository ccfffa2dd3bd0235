/*
 * control - what a caller does with a manager besides enqueueing: flush, revoke, shut down.
 */
#ifndef WORK_SHAPER_MANAGER_CONTROL_H
#define WORK_SHAPER_MANAGER_CONTROL_H

struct manager;

/*
 * refuse_inside_callback - Raises Error inside one of the manager's callbacks, where `method` would wait for itself.
 */
void refuse_inside_callback(const struct manager *manager, const char *method);

#endif
