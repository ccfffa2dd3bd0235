/*
 * histogram - how often each value came, to less than 1 %.
 *
 * Log-linear: below 256 each value has a bucket of its own; above, each octave (the values from one power of two to the
 * next) has 128 buckets of equal width. So a bucket is narrower than a 128th of its values, 0.8 %.
 *
 * It takes about 500 bytes, and 1 KiB for each octave in which a value came: 24 KiB from 1 microsecond to 10 seconds,
 * 58 KiB at most.
 */
#ifndef WORK_SHAPER_CORE_HISTOGRAM_H
#define WORK_SHAPER_CORE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS 7
#define HISTOGRAM_WIDTH ((size_t)1 << HISTOGRAM_BITS) /* buckets in an octave */
#define HISTOGRAM_OCTAVES ((size_t)65 - HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS (HISTOGRAM_OCTAVES * HISTOGRAM_WIDTH)

struct histogram {
    uint64_t count;                       /* how many values came */
    uint64_t lowest, highest;             /* of them, exactly; UINT64_MAX and 0 when none came */
    uint64_t sum, sum_carry;              /* of them: 128 bits */
    uint64_t *octaves[HISTOGRAM_OCTAVES]; /* counts; NULL: none of its values came */
};

/*
 * histogram_init - Makes an empty one. Allocates nothing.
 */
void histogram_init(struct histogram *histogram);

/*
 * histogram_destroy - Frees what it holds, and leaves an empty one.
 */
void histogram_destroy(struct histogram *histogram);

/*
 * histogram_record - Counts a value that came so many times. Allocates when it is the first one of its octave.
 *
 * Returns false when there is no memory; then it is not counted.
 */
bool histogram_record(struct histogram *histogram, uint64_t value, uint32_t times);

/*
 * histogram_merge - Counts all that another one has counted, which may be the same one.
 *
 * Returns false when there is no memory; then nothing of it is counted.
 */
bool histogram_merge(struct histogram *histogram, const struct histogram *other);

/*
 * histogram_percentile - The lowest value such that at least `percent` of the values are not above it (nearest rank):
 * the upper bound of its bucket, or the highest value if that is lower.
 *
 * percent: from 0 to 100. Of 1,000 values 99.9 are 999, although 99.9 is a little more as a double.
 * Returns 0 when no value came.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/*
 * histogram_mean - The mean of the values, exactly but for the rounding to a double; 0 when none came.
 */
double histogram_mean(const struct histogram *histogram);

/*
 * histogram_next - The first bucket from `bucket` on in which a value came, or HISTOGRAM_BUCKETS.
 */
size_t histogram_next(const struct histogram *histogram, size_t bucket);

/*
 * histogram_count - How many values came in a bucket.
 */
uint64_t histogram_count(const struct histogram *histogram, size_t bucket);

/*
 * histogram_bound - The highest value of a bucket.
 */
uint64_t histogram_bound(size_t bucket);

/*
 * histogram_bytes - How many bytes it has allocated.
 */
size_t histogram_bytes(const struct histogram *histogram);

#endif
