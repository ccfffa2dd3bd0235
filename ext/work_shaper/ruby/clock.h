/*
 * clock - the time, for waits and for ages. Neither call needs the GVL.
 */
#ifndef WORK_SHAPER_RUBY_CLOCK_H
#define WORK_SHAPER_RUBY_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND 1000000000ULL
#define NANOSECONDS_PER_MILLISECOND 1000000ULL
#define NANOSECONDS_PER_MICROSECOND 1000ULL

/* A deadline that never comes. */
#define NEVER UINT64_MAX

static inline uint64_t clock_read(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/*
 * clock_nanoseconds - Monotonic time in nanoseconds.
 */
static inline uint64_t clock_nanoseconds(void) {
    return clock_read(CLOCK_MONOTONIC);
}

/*
 * clock_milliseconds - Monotonic time in milliseconds modulo 2^32, accurate to about 10 ms and cheap to read.
 */
static inline uint32_t clock_milliseconds(void) {
#ifdef CLOCK_MONOTONIC_COARSE
    return (uint32_t)(clock_read(CLOCK_MONOTONIC_COARSE) / NANOSECONDS_PER_MILLISECOND);
#else
    return (uint32_t)(clock_read(CLOCK_MONOTONIC) / NANOSECONDS_PER_MILLISECOND);
#endif
}

#endif
