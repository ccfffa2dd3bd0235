#include "offset_map.h"

#include "range_coder.h"

#include <stdlib.h>
#include <string.h>

/*
 * "ws" version ":" then units of 13 bits, each as two digits of base 91, the high one first. (91 * 91 is just above
 * 2^13.) Three units are the checksum, the others the range coder's: the count of runs less 1 (so any that is read is
 * one that may be), the anchor, the leader epoch, and then for each run the gap before it and its length.
 */
#define NAME_LENGTH 2u
#define PREFIX_LENGTH 4u
#define CHECKSUM_UNITS 3u
#define UNITS_MAX ((OFFSET_MAP_LIMIT - PREFIX_LENGTH) / 2)

static const char prefix[PREFIX_LENGTH] = {'w', 's', '1', ':'};

/* Digits: printable ASCII without the space, quotes and backslash, so that JSON and logs show the text as it is. */
#define RADIX 91u

static char digit(unsigned value) {
    unsigned character = '!' + value;
    character += character >= '"';
    character += character >= '\'';
    character += character >= '\\';
    return (char)character;
}

/* The value of a digit, or RADIX for what is none. */
static unsigned value_of(char character) {
    unsigned char code = (unsigned char)character;
    if (code < '!' || code > '~' || code == '"' || code == '\'' || code == '\\') {
        return RADIX;
    }
    return code - '!' - (code > '"') - (code > '\'') - (code > '\\');
}

static void spell(char *text, const uint16_t *units, size_t count) {
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digit(units[i] / RADIX);
        text[2 * i + 1] = digit(units[i] % RADIX);
    }
}

static bool read_units(uint16_t *units, const char *text, size_t count) {
    for (size_t i = 0; i < count; i++) {
        unsigned high = value_of(text[2 * i]), low = value_of(text[2 * i + 1]);
        unsigned unit = high * RADIX + low;
        if (low >= RADIX || unit >> RANGE_UNIT_BITS) { /* which it is, too, when the high one is no digit */
            return false;
        }
        units[i] = (uint16_t)unit;
    }
    return true;
}

/* The checksum: CRC-32, which notices every damage within 32 bits, and others with odds of 2^32 to 1 */

static uint32_t crc_add(uint32_t crc, unsigned byte) {
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    crc ^= byte & 0xFF;
    crc = crc >> 4 ^ table[crc & 15];
    return crc >> 4 ^ table[crc & 15];
}

static uint32_t checksum(int64_t base, const uint16_t *units, size_t count) {
    uint32_t crc = UINT32_MAX;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        crc = crc_add(crc, (unsigned)((uint64_t)base >> shift));
    }
    for (size_t i = 0; i < count; i++) {
        crc = crc_add(crc_add(crc, units[i]), units[i] >> 8);
    }
    return ~crc;
}

static void write_checksum(uint16_t *units, uint32_t crc) {
    for (unsigned i = 0; i < CHECKSUM_UNITS; i++) {
        units[i] = crc >> (CHECKSUM_UNITS - 1 - i) * RANGE_UNIT_BITS & ((1u << RANGE_UNIT_BITS) - 1);
    }
}

static bool checksum_right(const uint16_t *units, uint32_t crc) {
    uint16_t expected[CHECKSUM_UNITS];
    write_checksum(expected, crc);
    return memcmp(expected, units, sizeof expected) == 0;
}

/*
 * Numbers from 1 to 2^63 - 1, as lengths are: how many bits a number has behind its first one, in unary; then these
 * bits. The first two of them are learnt, too, since short lengths are more frequent than long ones of as many bits.
 */
#define MOST_BITS 63u /* no number has that many behind its first */
#define LEARNT 2u

struct number_models {
    struct range_model more[MOST_BITS];
    struct range_model bits[MOST_BITS << LEARNT];
};

/* What is learnt of the lengths of gaps and of runs, each for itself. */
struct length_models {
    struct number_models gaps, runs;
};

static void init_numbers(struct number_models *models) {
    range_model_init(models->more, MOST_BITS);
    range_model_init(models->bits, MOST_BITS << LEARNT);
}

static void init_models(struct length_models *models) {
    init_numbers(&models->gaps);
    init_numbers(&models->runs);
}

static void write_number(struct range_encoder *encoder, struct number_models *models, int64_t number) {
    unsigned bits = 63u - (unsigned)__builtin_clzll((unsigned long long)number), left = bits;
    for (unsigned i = 0; i <= bits; i++) {
        range_encode(encoder, &models->more[i], i < bits);
    }
    unsigned known = 1;
    while (left > 0 && bits - left < LEARNT) {
        left--;
        bool bit = number >> left & 1;
        range_encode(encoder, &models->bits[bits << LEARNT | known], bit);
        known = known << 1 | bit;
    }
    range_encode_plain(encoder, (uint64_t)number, left);
}

/* Returns 0 when it is none. */
static int64_t read_number(struct range_decoder *decoder, struct number_models *models) {
    unsigned bits = 0;
    while (range_decode(decoder, &models->more[bits])) {
        bits++;
        if (bits == MOST_BITS) {
            return 0;
        }
    }
    unsigned left = bits, known = 1;
    while (left > 0 && bits - left < LEARNT) {
        left--;
        known = known << 1 | range_decode(decoder, &models->bits[bits << LEARNT | known]);
    }
    return (int64_t)((uint64_t)known << left | range_decode_plain(decoder, left));
}

/* Encoding */

/* Added to the number of the leader epoch where the anchor is finished: who does not know it takes the map for damaged,
 * not for another one. */
#define ANCHOR_FINISHED ((int64_t)1 << 32)

/* Writes that there are `count` runs, and these until there is no more room. Returns how many had room. */
static size_t write_code(struct range_encoder *encoder, const struct offset_map *map, size_t count) {
    struct length_models models;
    init_models(&models);
    range_encode_plain(encoder, count - 1, OFFSET_MAP_COUNT_BITS);
    range_encode_plain(encoder, map->anchor.hash, 32);
    range_encode_plain(encoder, (uint64_t)map->anchor.timestamp, 64);
    struct number_models distance = models.gaps, epoch = models.gaps;
    write_number(encoder, &distance, map->anchor.offset - map->base + 1);
    bool anchor_finished = count > 0 && map->runs[0].first == map->anchor.offset;
    write_number(encoder, &epoch, (int64_t)map->leader_epoch + 2 + (anchor_finished ? ANCHOR_FINISHED : 0));
    int64_t unfinished = map->anchor.offset; /* the last one that is known to be, or the anchor */
    for (size_t i = 0; i < count; i++) {
        const struct offset_run *run = &map->runs[i];
        if (i > 0 || !anchor_finished) {
            write_number(encoder, &models.gaps, run->first - unfinished);
        }
        write_number(encoder, &models.runs, run->last - run->first + 1);
        if (!range_encoder_fits(encoder)) {
            return i;
        }
        unfinished = run->last + 1;
    }
    return count;
}

size_t offset_map_encode(const struct offset_map *map, char *text, size_t limit) {
    uint16_t units[UNITS_MAX];
    size_t most = limit < OFFSET_MAP_LIMIT ? limit : OFFSET_MAP_LIMIT;
    size_t count = map->count < OFFSET_MAP_RUNS_MAX ? map->count : OFFSET_MAP_RUNS_MAX;
    if (most < PREFIX_LENGTH + 2 * CHECKSUM_UNITS) {
        return 0;
    }
    struct range_encoder encoder;
    size_t written = count, announced;
    do { /* once, or as a rule twice: the count is written first, and shifts what follows by less than a bit */
        announced = written;
        range_encoder_init(&encoder, units + CHECKSUM_UNITS, (most - PREFIX_LENGTH) / 2 - CHECKSUM_UNITS);
        written = write_code(&encoder, map, announced);
    } while (written < announced && written > 0);
    if (written == 0) {
        return 0;
    }
    size_t length = range_encoder_end(&encoder);
    write_checksum(units, checksum(map->base, units + CHECKSUM_UNITS, length));
    memcpy(text, prefix, PREFIX_LENGTH);
    spell(text + PREFIX_LENGTH, units, CHECKSUM_UNITS + length);
    return PREFIX_LENGTH + 2 * (CHECKSUM_UNITS + length);
}

/* Decoding */

static enum offset_map_status read_prefix(const char *text, size_t length) {
    size_t end = NAME_LENGTH;
    if (length < NAME_LENGTH || memcmp(text, prefix, NAME_LENGTH) != 0) {
        return OFFSET_MAP_FOREIGN;
    }
    while (end < length && text[end] >= '0' && text[end] <= '9') {
        end++;
    }
    if (end == NAME_LENGTH || end == length || text[end] != ':') {
        return OFFSET_MAP_FOREIGN;
    }
    return end + 1 == PREFIX_LENGTH && memcmp(text, prefix, PREFIX_LENGTH) == 0 ? OFFSET_MAP_OK
                                                                                : OFFSET_MAP_OTHER_VERSION;
}

/* A sum of two numbers that are not negative; or -1 when it is above INT64_MAX. */
static int64_t sum(int64_t left, int64_t right) {
    return right <= INT64_MAX - left ? left + right : -1;
}

/* Fills in the runs. False when no encoder of ours has written this. */
static bool read_runs(struct range_decoder *decoder, struct length_models *models, struct offset_map *map,
                      bool anchor_finished) {
    int64_t unfinished = map->anchor.offset;
    for (size_t i = 0; i < map->count; i++) {
        bool at_anchor = i == 0 && anchor_finished;
        int64_t gap = at_anchor ? 0 : read_number(decoder, &models->gaps);
        int64_t length = read_number(decoder, &models->runs), first = sum(unfinished, gap);
        if ((gap == 0 && !at_anchor) || length == 0 || first < 0 || range_decoder_starved(decoder)) {
            return false;
        }
        unfinished = sum(first, length);
        if (unfinished < 0) {
            return false;
        }
        map->runs[i] = (struct offset_run){.first = first, .last = unfinished - 1};
    }
    return range_decoder_at_end(decoder);
}

static enum offset_map_status read_code(struct offset_map *map, const uint16_t *units, size_t length) {
    struct length_models models;
    struct range_decoder decoder;
    init_models(&models);
    range_decoder_init(&decoder, units, length);
    map->count = (size_t)range_decode_plain(&decoder, OFFSET_MAP_COUNT_BITS) + 1;
    map->anchor.hash = (uint32_t)range_decode_plain(&decoder, 32);
    map->anchor.timestamp = (int64_t)range_decode_plain(&decoder, 64);
    struct number_models distance = models.gaps, epoch = models.gaps;
    int64_t from_base = read_number(&decoder, &distance), epoch_read = read_number(&decoder, &epoch);
    bool anchor_finished = epoch_read > ANCHOR_FINISHED;
    epoch_read -= anchor_finished ? ANCHOR_FINISHED : 0;
    map->anchor.offset = from_base > 0 ? sum(map->base, from_base - 1) : -1;
    if (map->anchor.offset < 0 || epoch_read == 0 || epoch_read - 2 > INT32_MAX) {
        return OFFSET_MAP_DAMAGED;
    }
    map->leader_epoch = (int32_t)(epoch_read - 2);
    map->runs = malloc(map->count * sizeof *map->runs);
    if (!map->runs) {
        return OFFSET_MAP_NO_MEMORY;
    }
    return read_runs(&decoder, &models, map, anchor_finished) ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED;
}

enum offset_map_status offset_map_decode(struct offset_map *map, const char *text, size_t length, int64_t base) {
    uint16_t units[UNITS_MAX];
    *map = (struct offset_map){.base = base};
    enum offset_map_status status = read_prefix(text, length);
    if (status != OFFSET_MAP_OK) {
        return status;
    }
    size_t count = (length - PREFIX_LENGTH) / 2;
    if (length > OFFSET_MAP_LIMIT || length % 2 || count < CHECKSUM_UNITS || base < 0 ||
        !read_units(units, text + PREFIX_LENGTH, count) ||
        !checksum_right(units, checksum(base, units + CHECKSUM_UNITS, count - CHECKSUM_UNITS))) {
        return OFFSET_MAP_DAMAGED;
    }
    status = read_code(map, units + CHECKSUM_UNITS, count - CHECKSUM_UNITS);
    if (status != OFFSET_MAP_OK) {
        offset_map_destroy(map);
    }
    return status;
}

/* Reading */

void offset_map_destroy(struct offset_map *map) {
    free(map->runs);
    map->runs = NULL;
    map->count = 0;
}

bool offset_map_finished(const struct offset_map *map, int64_t offset) {
    size_t from = 0, end = map->count; /* the first run that does not end below the offset is at one of these places */
    while (from < end) {
        size_t middle = from + (end - from) / 2;
        if (map->runs[middle].last < offset) {
            from = middle + 1;
        } else {
            end = middle;
        }
    }
    return from < map->count && map->runs[from].first <= offset;
}

int64_t offset_map_last(const struct offset_map *map) {
    return map->runs[map->count - 1].last;
}

uint64_t offset_map_total(const struct offset_map *map) {
    uint64_t total = 0;
    for (size_t i = 0; i < map->count; i++) {
        total += (uint64_t)(map->runs[i].last - map->runs[i].first) + 1;
    }
    return total;
}
