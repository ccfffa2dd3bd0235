/*
 * range_coder - bits, written in as little space as their odds allow.
 *
 * An adaptive binary range coder: each bit is coded against a model, which is the odds that it is 1 and learns from
 * every bit that it has seen. A bit that was likely costs a fraction of a bit. The encoder and the decoder must use
 * models of the same history; then they agree to the last digit on every machine, since all numbers are whole.
 *
 * The code is a row of units of 13 bits. Nothing here allocates.
 */
#ifndef WORK_SHAPER_CORE_RANGE_CODER_H
#define WORK_SHAPER_CORE_RANGE_CODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGE_UNIT_BITS 13

struct range_model {
    uint16_t ones; /* the odds of a 1, in 65,536ths; never 0 */
    uint16_t pace; /* the next bit moves them by one part in so many */
};

/*
 * range_model_init - Makes models that have seen nothing.
 */
void range_model_init(struct range_model *models, size_t count);

struct range_encoder {
    uint16_t *units;
    size_t capacity; /* of `units` */
    size_t length;   /* units that are written, or would be if there were room */
    uint64_t low, range;
};

/*
 * range_encoder_init - An encoder that writes into `units`, which has room for `capacity`.
 */
void range_encoder_init(struct range_encoder *encoder, uint16_t *units, size_t capacity);

/*
 * range_encode - Writes a bit.
 */
void range_encode(struct range_encoder *encoder, struct range_model *model, bool bit);

/*
 * range_encode_plain - Writes the lowest `count` bits of a number, each with even odds: it costs `count` bits.
 */
void range_encode_plain(struct range_encoder *encoder, uint64_t number, unsigned count);

/*
 * range_encoder_fits - Whether there is room for all that was encoded so far, with its end.
 */
bool range_encoder_fits(const struct range_encoder *encoder);

/*
 * range_encoder_end - Writes the last unit. Only if it fits.
 *
 * Returns how many units there are.
 */
size_t range_encoder_end(struct range_encoder *encoder);

struct range_decoder {
    const uint16_t *units;
    size_t length; /* of `units` */
    size_t next;   /* the unit to be read next; beyond the end they are 0 */
    uint64_t code, range;
};

/*
 * range_decoder_init - A decoder of any units whatever.
 */
void range_decoder_init(struct range_decoder *decoder, const uint16_t *units, size_t length);

/*
 * range_decode - The next bit.
 */
bool range_decode(struct range_decoder *decoder, struct range_model *model);

/*
 * range_decode_plain - The number of `count` bits, 64 at most, that range_encode_plain wrote.
 */
uint64_t range_decode_plain(struct range_decoder *decoder, unsigned count);

/*
 * range_decoder_starved - Whether more was read than an encoder would have written into so many units: what was read
 * last is made up.
 */
bool range_decoder_starved(const struct range_decoder *decoder);

/*
 * range_decoder_at_end - Whether an encoder that had written just what was read would have written so many units.
 */
bool range_decoder_at_end(const struct range_decoder *decoder);

#endif
