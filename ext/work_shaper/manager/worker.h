/*
 * worker - the loop of one worker thread: take, work, on_done or on_error, finish; park when nothing is ready.
 */
#ifndef WORK_SHAPER_MANAGER_WORKER_H
#define WORK_SHAPER_MANAGER_WORKER_H

#include <ruby/ruby.h>

/*
 * worker_main - The entry of a worker's thread.
 */
VALUE worker_main(void *self);

#endif
