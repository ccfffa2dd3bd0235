/*
 * check - the little that the C specs need: checks that say where and with which seed they failed, and a seeded
 * generator.
 */
#ifndef WORK_SHAPER_SPEC_CHECK_H
#define WORK_SHAPER_SPEC_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed = 1;
static unsigned long checks;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s does not hold (seed %llu)\n", __FILE__, __LINE__, #condition,                   \
                    (unsigned long long)seed);                                                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint64_t random_state;

/* Starts the generator anew. */
static inline void random_seed(uint64_t value) {
    seed = value;
    random_state = value * 0x9E3779B97F4A7C15u + 1;
}

/* A number from 0 to below - 1 (xorshift). */
static inline uint32_t random_below(uint32_t below) {
    if (below == 0) {
        abort();
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % below;
}

/* How many random runs to make: RUNS in the environment, or the default. */
static inline unsigned long runs(unsigned long otherwise) {
    const char *given = getenv("RUNS");
    return given ? strtoul(given, NULL, 10) : otherwise;
}

static inline int checked(const char *name) {
    printf("%s: %lu checks passed\n", name, checks);
    return 0;
}

#endif
