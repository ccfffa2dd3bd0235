/*
 * meter - how fast something grew over the last seconds.
 *
 * It keeps a total for each of the last 900 full seconds. Whoever lets the total grow need not know: it is enough that
 * someone notes it now and then, and at once when it begins to grow after a rest. A second in which nobody did counts
 * as if the total had not changed before the next note.
 */
#ifndef WORK_SHAPER_CORE_METER_H
#define WORK_SHAPER_CORE_METER_H

#include <stdint.h>

#define METER_SECONDS 900u

struct meter {
    uint64_t began;                     /* the second of the first note */
    uint64_t second;                    /* that of the last one */
    uint64_t totals[METER_SECONDS + 1]; /* at the beginning of a second, by its number modulo the size */
};

/*
 * meter_init - It begins in this second, with nothing.
 */
void meter_init(struct meter *meter, uint64_t second);

/*
 * meter_note - The total is so much, in this second. Seconds never go back. O(1), amortised.
 */
void meter_note(struct meter *meter, uint64_t second, uint64_t total);

/*
 * meter_rate - How much the total grew in each of the last `seconds` full seconds before the last note, in the mean; of
 * as many as there were since it began; 0 when there was none.
 *
 * seconds: 1 to METER_SECONDS.
 */
double meter_rate(const struct meter *meter, unsigned seconds);

/*
 * meter_first - The first second of which it knows the total.
 */
uint64_t meter_first(const struct meter *meter);

/*
 * meter_growth - How much the total grew from the beginning of one second to that of another: both from meter_first to
 * that of the last note, and the first not above the other.
 */
uint64_t meter_growth(const struct meter *meter, uint64_t from, uint64_t to);

#endif
