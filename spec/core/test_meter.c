#include "check.h"
#include "core/meter.h"

#include <stdbool.h>

static struct meter meter;

static bool near(double left, double right) {
    return left - right < 1e-9 && right - left < 1e-9;
}

static void knows_nothing_before_the_first_second_is_full(void) {
    meter_init(&meter, 5);
    meter_note(&meter, 5, 100);
    CHECK(near(meter_rate(&meter, 1), 0) && near(meter_rate(&meter, METER_SECONDS), 0));
}

static void counts_full_seconds(void) {
    meter_init(&meter, 1000);
    uint64_t total = 0;
    for (uint64_t second = 1001; second <= 1010; second++) {
        total += 10 * (second - 1000);
        meter_note(&meter, second, total);
    }
    CHECK(near(meter_rate(&meter, 1), 100));
    CHECK(near(meter_rate(&meter, 2), 95));
    CHECK(near(meter_rate(&meter, 10), 55));
    CHECK(near(meter_rate(&meter, METER_SECONDS), 55)); /* there are no more than these ten */
    meter_note(&meter, 1010, total + 5000);             /* that second is not full */
    CHECK(near(meter_rate(&meter, 1), 100));
}

static void what_grew_unseen_counts_for_the_second_after_the_last_note(void) {
    meter_init(&meter, 0);
    meter_note(&meter, 10, 0);
    meter_note(&meter, 14, 80); /* nobody noted at 11, when it was there already */
    CHECK(near(meter_rate(&meter, 3), 0));
    CHECK(near(meter_rate(&meter, 4), 20));
}

static void forgets_what_is_long_ago(void) {
    meter_init(&meter, 3);
    meter_note(&meter, 4, 7000);
    meter_note(&meter, 4 + METER_SECONDS, 7000);
    CHECK(near(meter_rate(&meter, METER_SECONDS), 0));
    CHECK(near(meter_rate(&meter, METER_SECONDS - 1), 0));
    meter_note(&meter, 1000000000, 9000); /* after a long rest every place is filled, and no more than once */
    CHECK(near(meter_rate(&meter, METER_SECONDS), 0));
    meter_note(&meter, 1000000001, 9900);
    CHECK(near(meter_rate(&meter, 1), 900) && near(meter_rate(&meter, METER_SECONDS), 1));
}

static void agrees_with_a_plain_list(void) {
    enum { SECONDS = 3000 };
    static uint64_t totals[SECONDS + 1];
    uint64_t random = 12345;
    meter_init(&meter, 0);
    for (unsigned second = 1; second <= SECONDS; second++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        totals[second] = totals[second - 1] + (random >> 60u);
        meter_note(&meter, second, totals[second]);
        for (unsigned period = 1; period <= METER_SECONDS; period += 1 + period / 3) {
            unsigned counted = second < period ? second : period;
            CHECK(near(meter_rate(&meter, period), (double)(totals[second] - totals[second - counted]) / counted));
        }
    }
}

static void knows_what_grew_between_any_two_seconds_that_it_keeps(void) {
    meter_init(&meter, 100);
    for (uint64_t second = 101; second <= 110; second++) {
        meter_note(&meter, second, second * second);
    }
    CHECK(meter_first(&meter) == 100);
    CHECK(meter_growth(&meter, 103, 107) == 107 * 107 - 103 * 103 && meter_growth(&meter, 110, 110) == 0);
    meter_note(&meter, 100 + METER_SECONDS, 20000);
    CHECK(meter_first(&meter) == 100 && meter_growth(&meter, 100, 100 + METER_SECONDS) == 20000);
    meter_note(&meter, 105 + METER_SECONDS, 20001);
    CHECK(meter_first(&meter) == 105 && meter_growth(&meter, 105, 105 + METER_SECONDS) == 20001 - 105 * 105);
}

int main(void) {
    knows_nothing_before_the_first_second_is_full();
    counts_full_seconds();
    what_grew_unseen_counts_for_the_second_after_the_last_note();
    forgets_what_is_long_ago();
    agrees_with_a_plain_list();
    knows_what_grew_between_any_two_seconds_that_it_keeps();
    return 0;
}
