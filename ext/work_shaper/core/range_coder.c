#include "range_coder.h"

/*
 * The state is an interval of numbers of four units; each bit takes its share of it. When it has become narrower than
 * a unit's worth, its first unit is certain, but for a carry that may still come from the units below.
 */
#define STATE_UNITS 4u
#define STATE_BITS (STATE_UNITS * RANGE_UNIT_BITS)
#define STATE_MASK (((uint64_t)1 << STATE_BITS) - 1)
#define NARROWEST ((uint64_t)1 << (STATE_BITS - RANGE_UNIT_BITS))
#define UNIT_MASK ((1u << RANGE_UNIT_BITS) - 1)

#define ODDS_BITS 16
/* Odds settle on the share of ones among the first bits, then follow the last ones: what is finished becomes thinner
 * the farther it is from the frontier. 64 was best for such maps, and costs random ones 0.5 %. */
#define SLOWEST_PACE 64u

void range_model_init(struct range_model *models, size_t count) {
    for (size_t i = 0; i < count; i++) {
        models[i] = (struct range_model){.ones = 1u << (ODDS_BITS - 1), .pace = 2};
    }
}

/* The odds stay between 1 and 65,535: they move by one half of the way at most. */
static void learn(struct range_model *model, bool bit) {
    unsigned ones = model->ones;
    model->ones = (uint16_t)(bit ? ones + ((1u << ODDS_BITS) - ones) / model->pace : ones - ones / model->pace);
    model->pace += model->pace < SLOWEST_PACE;
}

/* The part of the interval that means 1. It comes first. */
static uint64_t share_of_ones(uint64_t range, unsigned ones) {
    return (range >> ODDS_BITS) * ones;
}

/* The encoder */

void range_encoder_init(struct range_encoder *encoder, uint16_t *units, size_t capacity) {
    *encoder = (struct range_encoder){.capacity = capacity, .range = STATE_MASK + 1};
    encoder->units = units;
}

static void add_unit(struct range_encoder *encoder, uint64_t unit) {
    if (encoder->length < encoder->capacity) {
        encoder->units[encoder->length] = (uint16_t)unit;
    }
    encoder->length++;
}

/* Adds 1 to the units as to one long number. (The sum of all shares is below 1, so it ends within them.) */
static void carry(struct range_encoder *encoder) {
    if (encoder->length > encoder->capacity) {
        return; /* nobody will read them */
    }
    size_t i = encoder->length;
    while (i > 0) {
        i--;
        encoder->units[i] = (encoder->units[i] + 1u) & UNIT_MASK;
        if (encoder->units[i] != 0) {
            break;
        }
    }
}

static void encode(struct range_encoder *encoder, unsigned ones, bool bit) {
    uint64_t share = share_of_ones(encoder->range, ones);
    if (bit) {
        encoder->range = share;
    } else {
        encoder->range -= share;
        encoder->low += share;
        if (encoder->low > STATE_MASK) {
            encoder->low &= STATE_MASK;
            carry(encoder);
        }
    }
    while (encoder->range < NARROWEST) {
        add_unit(encoder, encoder->low / NARROWEST);
        encoder->low = encoder->low << RANGE_UNIT_BITS & STATE_MASK;
        encoder->range <<= RANGE_UNIT_BITS;
    }
}

void range_encode(struct range_encoder *encoder, struct range_model *model, bool bit) {
    encode(encoder, model->ones, bit);
    learn(model, bit);
}

void range_encode_plain(struct range_encoder *encoder, uint64_t number, unsigned count) {
    while (count > 0) {
        count--;
        encode(encoder, 1u << (ODDS_BITS - 1), number >> count & 1);
    }
}

bool range_encoder_fits(const struct range_encoder *encoder) {
    return encoder->length < encoder->capacity;
}

/* One unit, with zeros behind it, is always enough to name a number in the interval. */
size_t range_encoder_end(struct range_encoder *encoder) {
    uint64_t unit = (encoder->low + NARROWEST - 1) / NARROWEST;
    if (unit > UNIT_MASK) {
        unit = 0;
        carry(encoder);
    }
    add_unit(encoder, unit);
    return encoder->length;
}

/* The decoder */

static void read_unit(struct range_decoder *decoder) {
    unsigned unit = decoder->next < decoder->length ? decoder->units[decoder->next] & UNIT_MASK : 0;
    decoder->code = decoder->code << RANGE_UNIT_BITS | unit;
    decoder->next++;
}

void range_decoder_init(struct range_decoder *decoder, const uint16_t *units, size_t length) {
    *decoder = (struct range_decoder){.units = units, .length = length, .range = STATE_MASK + 1};
    for (unsigned i = 0; i < STATE_UNITS; i++) {
        read_unit(decoder);
    }
}

/* Here `code` is the number less where the interval begins, so always below `range`. */
static bool decode(struct range_decoder *decoder, unsigned ones) {
    uint64_t share = share_of_ones(decoder->range, ones);
    bool bit = decoder->code < share;
    if (bit) {
        decoder->range = share;
    } else {
        decoder->range -= share;
        decoder->code -= share;
    }
    while (decoder->range < NARROWEST) {
        read_unit(decoder);
        decoder->range <<= RANGE_UNIT_BITS;
    }
    return bit;
}

bool range_decode(struct range_decoder *decoder, struct range_model *model) {
    bool bit = decode(decoder, model->ones);
    learn(model, bit);
    return bit;
}

uint64_t range_decode_plain(struct range_decoder *decoder, unsigned count) {
    uint64_t number = 0;
    for (; count > 0; count--) {
        number = number << 1 | decode(decoder, 1u << (ODDS_BITS - 1));
    }
    return number;
}

/* The decoder is ahead by the units of its state; of these an encoder writes one. */
bool range_decoder_starved(const struct range_decoder *decoder) {
    return decoder->next > decoder->length + STATE_UNITS - 1;
}

bool range_decoder_at_end(const struct range_decoder *decoder) {
    return decoder->next == decoder->length + STATE_UNITS - 1;
}
