#include "meter.h"

static uint64_t *total_at(struct meter *meter, uint64_t second) {
    return &meter->totals[second % (METER_SECONDS + 1)];
}

void meter_init(struct meter *meter, uint64_t second) {
    meter->began = meter->second = second;
    *total_at(meter, second) = 0;
}

void meter_note(struct meter *meter, uint64_t second, uint64_t total) {
    uint64_t first = meter->second + 1;
    if (second > METER_SECONDS && first < second - METER_SECONDS) {
        first = second - METER_SECONDS; /* what is before that is forgotten */
    }
    for (uint64_t passed = first; passed <= second; passed++) {
        *total_at(meter, passed) = total;
    }
    if (second > meter->second) {
        meter->second = second;
    }
}

double meter_rate(const struct meter *meter, unsigned seconds) {
    uint64_t there = meter->second - meter->began;
    uint64_t counted = there < seconds ? there : seconds;
    if (!counted) {
        return 0;
    }
    return (double)meter_growth(meter, meter->second - counted, meter->second) / (double)counted;
}

uint64_t meter_first(const struct meter *meter) {
    return meter->second - meter->began > METER_SECONDS ? meter->second - METER_SECONDS : meter->began;
}

uint64_t meter_growth(const struct meter *meter, uint64_t from, uint64_t to) {
    return meter->totals[to % (METER_SECONDS + 1)] - meter->totals[from % (METER_SECONDS + 1)];
}
