#include "check.h"
#include "core/histogram.h"

#include "allocation.h"

#include <stdbool.h>

#define MOST 4000

static struct histogram histogram;
static uint64_t values[MOST]; /* what was recorded, to be sorted */
static uint32_t count;

static void begin(void) {
    histogram_init(&histogram);
    count = 0;
}

static void record(uint64_t value) {
    CHECK(histogram_record(&histogram, value, 1));
    values[count++] = value;
}

static int ascending(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t random_value(uint32_t bits) {
    uint64_t value = (uint64_t)random_below(UINT32_MAX) << 33 ^ (uint64_t)random_below(UINT32_MAX) << 2;
    return (value ^ random_below(4)) >> (64 - bits);
}

/* It is the exact one, or a little above. */
static void check_percentile(double percent, uint32_t rank) {
    uint64_t exact = values[rank > 0 ? rank - 1 : 0], found = histogram_percentile(&histogram, percent);
    CHECK(found >= exact && found <= values[count - 1]);
    CHECK(found - exact <= exact / 128);
}

/* In tenths of a percent, so that whole numbers say which rank that is. */
static void check_percentiles(void) {
    qsort(values, count, sizeof *values, ascending);
    for (uint32_t tenths = 0; tenths <= 1000; tenths++) {
        check_percentile(tenths / 10.0, (tenths * count + 999) / 1000);
    }
}

static void check_numbers(void) {
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += (double)values[i];
    }
    double apart = histogram_mean(&histogram) - sum / count;
    CHECK(histogram.count == count);
    CHECK(histogram.lowest == values[0] && histogram.highest == values[count - 1]);
    CHECK(apart <= sum / count * 1e-9 && -apart <= sum / count * 1e-9);
}

/* Each value is in the bucket that the bounds say. */
static void check_buckets(void) {
    uint32_t seen = 0;
    size_t bucket = 0;
    while ((bucket = histogram_next(&histogram, bucket)) < HISTOGRAM_BUCKETS) {
        uint64_t bound = histogram_bound(bucket), counted = histogram_count(&histogram, bucket);
        CHECK(counted > 0 && (bucket == 0 || bound > histogram_bound(bucket - 1)));
        for (uint64_t i = 0; i < counted; i++, seen++) {
            CHECK(values[seen] <= bound && (bucket == 0 || values[seen] > histogram_bound(bucket - 1)));
        }
        bucket++;
    }
    CHECK(seen == count);
}

static void is_as_sorting_says(uint64_t run) {
    random_seed(run);
    begin();
    uint32_t wanted = 1 + random_below(random_below(2) ? 20 : MOST), bits = 1 + random_below(64);
    while (count < wanted) {
        record(random_value(random_below(2) ? bits : 1 + random_below(bits)));
    }
    check_percentiles();
    check_numbers();
    check_buckets();
    CHECK(histogram_bytes(&histogram) <= (size_t)58 * 1024);
    histogram_destroy(&histogram);
    CHECK(histogram.count == 0 && histogram_bytes(&histogram) == 0);
}

static void merges(uint64_t run) {
    random_seed(run);
    struct histogram parts[3];
    begin();
    for (int i = 0; i < 3; i++) {
        histogram_init(&parts[i]);
    }
    for (uint32_t i = 0; i < 500; i++) {
        record(random_value(1 + random_below(64)));
        CHECK(histogram_record(&parts[random_below(3)], values[i], 1));
    }
    histogram_destroy(&histogram);
    for (int i = 0; i < 3; i++) {
        CHECK(histogram_merge(&histogram, &parts[i]));
        histogram_destroy(&parts[i]);
    }
    check_percentiles();
    check_numbers();
    check_buckets();
    uint64_t median = histogram_percentile(&histogram, 50);
    CHECK(histogram_merge(&histogram, &histogram));
    CHECK(histogram.count == 1000 && histogram_percentile(&histogram, 50) == median);
    histogram_destroy(&histogram);
}

static void knows_the_ends(void) {
    begin();
    CHECK(histogram_percentile(&histogram, 50) == 0 && histogram_next(&histogram, 0) == HISTOGRAM_BUCKETS);
    record(0);
    record(UINT64_MAX);
    record(UINT64_MAX);
    check_percentiles();
    check_numbers(); /* the sum has more than 64 bits */
    check_buckets();
    CHECK(histogram_bound(0) == 0 && histogram_bound(255) == 255 && histogram_bound(256) == 257);
    CHECK(histogram_bound(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    histogram_destroy(&histogram);
}

static void counts_nothing_without_memory(void) {
    begin();
    record(5);
    allocations_left = 0;
    CHECK(!histogram_record(&histogram, 5000, 1) && histogram.count == 1 && histogram.highest == 5);
    CHECK(histogram_record(&histogram, 6, 1));
    allocations_left = -1;
    struct histogram other;
    histogram_init(&other);
    CHECK(histogram_record(&other, 5000, 1) && histogram_record(&other, 500000, 1));
    allocations_left = 1;
    CHECK(!histogram_merge(&histogram, &other) && histogram.count == 2 && histogram.highest == 6);
    CHECK(histogram_percentile(&histogram, 100) == 6);
    allocations_left = -1;
    CHECK(histogram_merge(&histogram, &other) && histogram.count == 4);
    histogram_destroy(&histogram);
    histogram_destroy(&other);
}

/* What came so many times, in one call or in as many. */
static void counts_many_at_once(void) {
    const uint64_t values[] = {0, 300, (1ull << 40u) + 7, UINT64_MAX, UINT64_MAX - 12345};
    struct histogram once, apart;
    histogram_init(&once);
    histogram_init(&apart);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(histogram_record(&once, values[i], 17 + i));
        for (uint32_t j = 0; j < 17 + i; j++) {
            CHECK(histogram_record(&apart, values[i], 1));
        }
    }
    CHECK(once.count == 95 && once.count == apart.count && once.sum == apart.sum && once.sum_carry == apart.sum_carry);
    CHECK(once.lowest == 0 && once.highest == UINT64_MAX);
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        CHECK(histogram_count(&once, bucket) == histogram_count(&apart, bucket));
    }
    histogram_destroy(&once);
    histogram_destroy(&apart);
}

int main(void) {
    counts_many_at_once();
    knows_the_ends();
    counts_nothing_without_memory();
    for (uint64_t run = 1; run <= runs(100); run++) {
        is_as_sorting_says(run);
        merges(run);
    }
    return checked("histogram");
}
