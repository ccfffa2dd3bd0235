/*
 * line - a rate, and the threads that stand in line for it.
 *
 * They go in the order in which they came. Whoever is awake lets all go whose time has come: the first may be in a trap
 * handler, inside its sleep, which waits for one of those behind it.
 *
 * Streams do not stand in line; they ask again. So that threads which want many do not starve beside them, no stream
 * takes twice while somebody stands in line.
 */
#ifndef WORK_SHAPER_STREAM_LINE_H
#define WORK_SHAPER_STREAM_LINE_H

#include "../core/gcra.h"
#include "../core/list.h"

#include <ruby/ruby.h>
#include <stdbool.h>
#include <stdint.h>

struct line {
    struct gcra gcra;         /* may be changed at any time; then call line_wake */
    struct list turns;        /* those who wait, in the order in which they came */
    unsigned long generation; /* of the process whose threads these are */
    bool stream_waits;        /* a stream was told to wait */
    bool is_next;             /* before a stream takes one more */
};

/*
 * line_init - Makes a line that is empty, its gcra yet to be set. It must not move.
 */
void line_init(struct line *line);

/*
 * line_clear - Sends all away. To be called before the line is freed.
 */
void line_clear(struct line *line);

/*
 * line_wake - Wakes all, to look when they may go now. Runs no Ruby code.
 */
void line_wake(struct line *line);

/*
 * line_take - When a stream may start one, in clock_nanoseconds; if that is not after `now`, it is taken. Runs no Ruby
 * code.
 */
uint64_t line_take(struct line *line, uint64_t now);

/*
 * line_acquire - Waits until `count` may start, and takes them.
 *
 * owner: keeps the line alive.
 * deadline: in clock_nanoseconds, or NEVER.
 * Returns false as soon as it is known that this would be after the deadline; then nothing is taken.
 * Raises whatever the thread's interrupts bring, and NoMemoryError; then nothing is taken, either.
 */
bool line_acquire(struct line *line, VALUE owner, uint32_t count, uint64_t deadline);

#endif
