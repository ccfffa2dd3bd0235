#include "histogram.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#define OCTAVE_BYTES (HISTOGRAM_WIDTH * sizeof(uint64_t))

void histogram_init(struct histogram *histogram) {
    *histogram = (struct histogram){.lowest = UINT64_MAX};
}

void histogram_destroy(struct histogram *histogram) {
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        free(histogram->octaves[octave]);
    }
    histogram_init(histogram);
}

/* The first two octaves have buckets of one value, the next one of two, and so on. */
static unsigned shift_of(uint64_t value) {
    unsigned highest_bit = 63u - (unsigned)__builtin_clzll(value | 1);
    return highest_bit > HISTOGRAM_BITS ? highest_bit - HISTOGRAM_BITS : 0;
}

static size_t bucket_of(uint64_t value) {
    unsigned shift = shift_of(value);
    return (size_t)shift * HISTOGRAM_WIDTH + (size_t)(value >> shift);
}

uint64_t histogram_bound(size_t bucket) {
    size_t octave = bucket / HISTOGRAM_WIDTH, shift = octave > 0 ? octave - 1 : 0;
    uint64_t after = (uint64_t)(bucket - shift * HISTOGRAM_WIDTH) + 1;
    return (after << shift) - 1; /* of the last bucket 2^64 - 1, since unsigned numbers wrap */
}

static bool ensure_octave(struct histogram *histogram, size_t octave) {
    if (!histogram->octaves[octave]) {
        uint64_t *counts = malloc(OCTAVE_BYTES);
        if (!counts) {
            return false;
        }
        memset(counts, 0, OCTAVE_BYTES);
        histogram->octaves[octave] = counts;
    }
    return true;
}

static void add(struct histogram *histogram, uint64_t count, uint64_t sum, uint64_t sum_carry) {
    histogram->count += count;
    histogram->sum += sum;
    histogram->sum_carry += sum_carry + (histogram->sum < sum);
}

static void widen(struct histogram *histogram, uint64_t lowest, uint64_t highest) {
    histogram->lowest = lowest < histogram->lowest ? lowest : histogram->lowest;
    histogram->highest = highest > histogram->highest ? highest : histogram->highest;
}

bool histogram_record(struct histogram *histogram, uint64_t value, uint32_t times) {
    size_t bucket = bucket_of(value);
    if (!ensure_octave(histogram, bucket / HISTOGRAM_WIDTH)) {
        return false;
    }
    histogram->octaves[bucket / HISTOGRAM_WIDTH][bucket % HISTOGRAM_WIDTH] += times;
    uint64_t low = (value & UINT32_MAX) * times, high = (value >> 32u) * times; /* value * times is 96 bits long */
    add(histogram, times, value * times, (high + (low >> 32u)) >> 32u);
    widen(histogram, value, value);
    return true;
}

bool histogram_merge(struct histogram *histogram, const struct histogram *other) {
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        if (other->octaves[octave] && !ensure_octave(histogram, octave)) {
            return false;
        }
    }
    for (size_t bucket = 0; (bucket = histogram_next(other, bucket)) < HISTOGRAM_BUCKETS; bucket++) {
        histogram->octaves[bucket / HISTOGRAM_WIDTH][bucket % HISTOGRAM_WIDTH] += histogram_count(other, bucket);
    }
    add(histogram, other->count, other->sum, other->sum_carry);
    widen(histogram, other->lowest, other->highest);
    return true;
}

size_t histogram_next(const struct histogram *histogram, size_t bucket) {
    while (bucket < HISTOGRAM_BUCKETS && histogram_count(histogram, bucket) == 0) {
        const uint64_t *counts = histogram->octaves[bucket / HISTOGRAM_WIDTH];
        bucket = counts ? bucket + 1 : (bucket / HISTOGRAM_WIDTH + 1) * HISTOGRAM_WIDTH;
    }
    return bucket;
}

uint64_t histogram_count(const struct histogram *histogram, size_t bucket) {
    const uint64_t *counts = histogram->octaves[bucket / HISTOGRAM_WIDTH];
    return counts ? counts[bucket % HISTOGRAM_WIDTH] : 0;
}

/* Which of so many, in ascending order from 1, it is. */
static uint64_t rank_of(double percent, uint64_t count) {
    double exact = percent * (double)count / 100;
    double rank = exact * (1 - 4 * DBL_EPSILON);
    uint64_t whole = rank < (double)count ? (uint64_t)rank : count;
    whole += (double)whole < rank && whole < count;
    return whole > 0 ? whole : 1;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    uint64_t rank = rank_of(percent, histogram->count), counted = 0;
    for (size_t bucket = 0; (bucket = histogram_next(histogram, bucket)) < HISTOGRAM_BUCKETS; bucket++) {
        counted += histogram_count(histogram, bucket);
        if (counted >= rank) {
            uint64_t bound = histogram_bound(bucket);
            return bound < histogram->highest ? bound : histogram->highest;
        }
    }
    return histogram->highest;
}

double histogram_mean(const struct histogram *histogram) {
    double sum = (double)histogram->sum + (double)histogram->sum_carry * 18446744073709551616.0; /* 2^64 */
    return histogram->count > 0 ? sum / (double)histogram->count : 0;
}

size_t histogram_bytes(const struct histogram *histogram) {
    size_t bytes = 0;
    for (size_t octave = 0; octave < HISTOGRAM_OCTAVES; octave++) {
        bytes += histogram->octaves[octave] ? OCTAVE_BYTES : 0;
    }
    return bytes;
}
