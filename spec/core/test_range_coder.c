#include "check.h"
#include "core/range_coder.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 5
#define MOST 20000

static struct range_model models[MODELS];
static bool bits[MOST];
static uint8_t model_of[MOST]; /* MODELS: plain */
static uint16_t units[MOST / 4];
static size_t count, length;

static void encode(struct range_encoder *encoder, size_t capacity) {
    range_model_init(models, MODELS);
    range_encoder_init(encoder, units, capacity);
    for (size_t i = 0; i < count; i++) {
        if (model_of[i] == MODELS) {
            range_encode_plain(encoder, bits[i], 1);
        } else {
            range_encode(encoder, &models[model_of[i]], bits[i]);
        }
    }
}

static void comes_back(void) {
    struct range_encoder encoder;
    encode(&encoder, sizeof units / sizeof *units);
    CHECK(range_encoder_fits(&encoder));
    length = range_encoder_end(&encoder);
    struct range_decoder decoder;
    range_decoder_init(&decoder, units, length);
    range_model_init(models, MODELS);
    for (size_t i = 0; i < count; i++) {
        bool bit =
            model_of[i] == MODELS ? range_decode_plain(&decoder, 1) : range_decode(&decoder, &models[model_of[i]]);
        CHECK(bit == bits[i] && !range_decoder_starved(&decoder));
    }
    CHECK(range_decoder_at_end(&decoder));
    for (size_t i = 0; i < length; i++) {
        CHECK(units[i] < 1u << RANGE_UNIT_BITS);
    }
}

static void random_bits_come_back(uint64_t run) {
    random_seed(run);
    uint32_t odds[MODELS + 1];
    for (int i = 0; i <= MODELS; i++) {
        odds[i] = random_below(3) ? random_below(1001) : random_below(2) * 1000; /* of a thousand are 1 */
    }
    count = random_below(random_below(2) ? 100u : MOST);
    for (size_t i = 0; i < count; i++) {
        model_of[i] = (uint8_t)random_below(MODELS + 1);
        bits[i] = random_below(1000) < odds[model_of[i]];
    }
    comes_back();
}

/* The highest numbers that there are, so that a 1 is carried through all units that are written. */
static void carries_through_all_units(void) {
    for (count = 1; count < 400; count++) {
        for (size_t i = 0; i < count; i++) {
            model_of[i] = MODELS;
            bits[i] = false;
        }
        comes_back();
    }
}

static void whole_numbers_come_back(void) {
    const uint64_t numbers[] = {0, 1, 0x123456789ABCDEF0u, UINT64_MAX};
    struct range_encoder encoder;
    range_encoder_init(&encoder, units, 100);
    for (int i = 0; i < 4; i++) {
        range_encode_plain(&encoder, numbers[i], 64);
        range_encode_plain(&encoder, numbers[i], 7);
    }
    length = range_encoder_end(&encoder);
    CHECK(length == 4u * 71 / RANGE_UNIT_BITS + 1);
    struct range_decoder decoder;
    range_decoder_init(&decoder, units, length);
    for (int i = 0; i < 4; i++) {
        CHECK(range_decode_plain(&decoder, 64) == numbers[i] && range_decode_plain(&decoder, 7) == (numbers[i] & 127));
    }
    CHECK(range_decoder_at_end(&decoder));
}

/* A bit of steady odds costs what theory says, and a hundredth of a bit: the price of odds that go on learning. */
static void is_dense(void) {
    const uint32_t odds[] = {500, 100, 10, 0};
    const double cost[] = {1, 0.469, 0.0808, 0};
    for (int i = 0; i < 4; i++) {
        random_seed((uint64_t)i + 1);
        for (count = 0; count < MOST; count++) {
            model_of[count] = 0;
            bits[count] = random_below(1000) < odds[i];
        }
        comes_back();
        CHECK((double)length * RANGE_UNIT_BITS < (cost[i] + 0.012) * MOST + 50);
    }
}

/* What does not fit is told, and nothing is written beyond the room. */
static void stays_within_its_room(void) {
    random_seed(1);
    for (count = 0; count < 500; count++) {
        model_of[count] = (uint8_t)random_below(MODELS + 1);
        bits[count] = random_below(4) == 0;
    }
    comes_back();
    size_t needed = length;
    for (size_t capacity = 0; capacity < needed + 3; capacity++) {
        struct range_encoder encoder;
        memset(units, 0xAB, sizeof units);
        encode(&encoder, capacity);
        CHECK(range_encoder_fits(&encoder) == (capacity >= needed));
        CHECK(units[capacity] == 0xABAB);
    }
}

/* Whoever reads on is told, not led out of the units. */
static void starves_beyond_the_end(void) {
    struct range_decoder decoder;
    uint16_t *few = malloc(2 * sizeof *few);
    CHECK(few != NULL);
    few[0] = few[1] = 0xFFFF;
    for (size_t given = 0; given <= 2; given++) {
        range_decoder_init(&decoder, few, given);
        CHECK(range_decoder_starved(&decoder) == (given == 0));
        range_decode_plain(&decoder, 64);
        CHECK(range_decoder_starved(&decoder) && !range_decoder_at_end(&decoder));
    }
    free(few);
}

int main(void) {
    carries_through_all_units();
    whole_numbers_come_back();
    is_dense();
    stays_within_its_room();
    starves_beyond_the_end();
    for (uint64_t run = 1; run <= runs(200); run++) {
        random_bits_come_back(run);
    }
    return checked("range_coder");
}
