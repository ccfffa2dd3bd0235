/*
 * Texts with a right checksum that no encoder wrote: made by whoever can commit for the group. The checksum and the
 * digits are made here in another way, so that this also says what the format is.
 */
#include "check.h"
#include "core/offset_map.h"
#include "core/range_coder.h"

#include <stdbool.h>
#include <string.h>

#define UNITS ((OFFSET_MAP_LIMIT - 4) / 2)
#define CHECKSUM 3u

static const char digits[] =
    "!#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~";
static const char prefix[4] = {'w', 's', '1', ':'};
static unsigned units[UNITS + 10];
static size_t count;

static uint32_t crc_bytes(uint32_t crc, uint64_t bytes, int size) {
    for (int i = 0; i < size * 8; i++) {
        bool out = (crc ^ bytes >> i) & 1;
        crc = crc >> 1 ^ (out ? 0xEDB88320u : 0);
    }
    return crc;
}

static void set_checksum(int64_t base) {
    uint32_t crc = crc_bytes(UINT32_MAX, (uint64_t)base, 8);
    for (size_t i = CHECKSUM; i < count; i++) {
        crc = crc_bytes(crc, units[i], 2);
    }
    crc = ~crc;
    units[0] = crc >> 26;
    units[1] = crc >> 13 & 8191;
    units[2] = crc & 8191;
}

static void read_text(const char *text, size_t length) {
    count = (length - 4) / 2;
    for (size_t i = 0; i < count; i++) {
        units[i] = (unsigned)(strchr(digits, text[4 + 2 * i]) - digits) * 91 +
                   (unsigned)(strchr(digits, text[5 + 2 * i]) - digits);
    }
}

/* The units of a map with these runs, one after the other: first, last. */
static void encode(int64_t base, int64_t anchor, struct offset_run *runs, size_t run_count) {
    char text[OFFSET_MAP_LIMIT];
    struct offset_map map = {.base = base, .anchor = {.offset = anchor}, .runs = runs, .count = run_count};
    read_text(text, offset_map_encode(&map, text, sizeof text));
}

/* A map is one, whatever it came from: in order, apart, from the anchor on; and it is written and read again. */
static void check_sound(const struct offset_map *map, int64_t base) {
    int64_t unfinished = map->anchor.offset;
    CHECK(map->base == base && map->count > 0 && unfinished >= base);
    for (size_t i = 0; i < map->count; i++) {
        CHECK(map->runs[i].first >= unfinished + (i > 0) && map->runs[i].last >= map->runs[i].first);
        CHECK(map->runs[i].last < INT64_MAX);
        unfinished = map->runs[i].last + 1;
    }
    char text[OFFSET_MAP_LIMIT];
    struct offset_map again;
    size_t length = offset_map_encode(map, text, sizeof text);
    CHECK(offset_map_decode(&again, text, length, base) == OFFSET_MAP_OK && again.count == map->count);
    CHECK(memcmp(again.runs, map->runs, map->count * sizeof *map->runs) == 0);
    offset_map_destroy(&again);
}

static enum offset_map_status decode(int64_t base) {
    set_checksum(base);
    size_t length = 4 + 2 * count;
    char *text = malloc(length);
    CHECK(text != NULL);
    memcpy(text, prefix, sizeof prefix);
    for (size_t i = 0; i < count; i++) {
        text[4 + 2 * i] = digits[units[i] / 91];
        text[5 + 2 * i] = digits[units[i] % 91];
    }
    struct offset_map map;
    enum offset_map_status status = offset_map_decode(&map, text, length, base);
    free(text);
    if (status == OFFSET_MAP_OK) {
        check_sound(&map, base);
    } else {
        CHECK(map.runs == NULL && map.count == 0);
    }
    offset_map_destroy(&map);
    return status;
}

static void the_checksum_is_a_crc(void) {
    struct offset_run runs[] = {{102, 105}, {107, 107}};
    encode(100, 100, runs, 2);
    unsigned before[CHECKSUM];
    memcpy(before, units, sizeof before);
    set_checksum(100);
    CHECK(memcmp(before, units, sizeof before) == 0);
    CHECK(decode(100) == OFFSET_MAP_OK);
    CHECK(decode(50) == OFFSET_MAP_OK); /* with a checksum made for it, a map is one of any base */
}

static void no_offset_is_too_high(void) {
    struct offset_run to_the_end[] = {{1, INT64_MAX - 1}};
    encode(0, 0, to_the_end, 1);
    CHECK(decode(0) == OFFSET_MAP_OK);
    CHECK(decode(1) == OFFSET_MAP_DAMAGED);
    CHECK(decode(INT64_MAX) == OFFSET_MAP_DAMAGED);
    struct offset_run far[] = {{INT64_MAX - 1, INT64_MAX - 1}};
    encode(0, 0, far, 1);
    CHECK(decode(0) == OFFSET_MAP_OK && decode(1) == OFFSET_MAP_DAMAGED && decode(2) == OFFSET_MAP_DAMAGED);
    encode(0, INT64_MAX - 2, far, 1);
    CHECK(decode(0) == OFFSET_MAP_OK && decode(1) == OFFSET_MAP_DAMAGED && decode(2) == OFFSET_MAP_DAMAGED);
    CHECK(decode(3) == OFFSET_MAP_DAMAGED && decode(INT64_MAX) == OFFSET_MAP_DAMAGED);
    struct offset_run two[] = {{2, 3}, {5, INT64_MAX - 2}};
    encode(0, 1, two, 2);
    CHECK(decode(1) == OFFSET_MAP_OK && decode(2) == OFFSET_MAP_DAMAGED);
}

static void no_base_is_negative(void) {
    struct offset_run runs[] = {{5, 6}};
    encode(0, 0, runs, 1);
    CHECK(decode(-1) == OFFSET_MAP_DAMAGED && decode(INT64_MIN) == OFFSET_MAP_DAMAGED && decode(0) == OFFSET_MAP_OK);
}

static void all_units_are_needed_and_no_more(void) {
    struct offset_run runs[500];
    for (int i = 0; i < 500; i++) {
        runs[i] = (struct offset_run){.first = i * 10 + 1, .last = i * 10 + 1 + i % 9};
    }
    encode(0, 0, runs, 500);
    size_t all = count;
    for (count = CHECKSUM; count < all + 5; count++) {
        CHECK(decode(0) == (count == all ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED));
    }
}

/* What comes before the numbers: there is one run, and the anchor has neither hash nor timestamp. */
static void begin_code(struct range_encoder *encoder, uint16_t *code) {
    range_encoder_init(encoder, code, UNITS);
    range_encode_plain(encoder, 0, OFFSET_MAP_COUNT_BITS);
    range_encode_plain(encoder, 0, 32);
    range_encode_plain(encoder, 0, 64);
}

static void end_code(struct range_encoder *encoder, const uint16_t *code) {
    count = CHECKSUM + range_encoder_end(encoder);
    for (size_t i = CHECKSUM; i < count; i++) {
        units[i] = code[i - CHECKSUM];
    }
}

/* Of numbers with more bits than an offset has. (A model that has seen nothing codes a bit as a plain one.) */
static void no_number_is_too_long(void) {
    for (int long_one = 0; long_one < 5; long_one++) { /* of the anchor, the epoch, the gap and the run; or none */
        uint16_t code[UNITS];
        struct range_encoder encoder;
        begin_code(&encoder, code);
        for (int number = 0; number < 4; number++) {
            range_encode_plain(&encoder, UINT64_MAX, number == long_one ? 63 : 0);
            range_encode_plain(&encoder, 0, number == long_one ? 0 : 1);
        }
        end_code(&encoder, code);
        CHECK(decode(0) == (long_one == 4 ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED));
        CHECK(decode(5) == (long_one == 4 ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED));
    }
}

static void no_leader_epoch_is_too_high(void) {
    for (uint64_t epoch = (uint64_t)INT32_MAX + 1; epoch <= (uint64_t)INT32_MAX + 4;
         epoch++) { /* as it is written: plus 2 */
        uint16_t code[UNITS];
        struct range_encoder encoder;
        begin_code(&encoder, code);
        range_encode_plain(&encoder, 0, 1);
        range_encode_plain(&encoder, UINT64_MAX - 1, 32); /* 31 bits behind the first one */
        range_encode_plain(&encoder, epoch - ((uint64_t)1 << 31), 31);
        range_encode_plain(&encoder, 0, 2);
        end_code(&encoder, code);
        CHECK(decode(0) == (epoch - 2 <= INT32_MAX ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED));
    }
}

/* Two digits can say more than a unit holds: what does is no other way to write the same. */
static void a_unit_is_bounded(void) {
    unsigned tried = 0;
    for (int64_t anchor = 0; anchor < 200; anchor++) {
        struct offset_run runs[] = {{anchor + 5, anchor + 900}};
        encode(0, anchor, runs, 1);
        for (size_t i = CHECKSUM; i < count; i++) {
            if (units[i] + 8192 < 91 * 91) {
                units[i] += 8192;
                CHECK(decode(0) == OFFSET_MAP_DAMAGED);
                units[i] -= 8192;
                CHECK(decode(0) == OFFSET_MAP_OK);
                tried++;
            }
        }
    }
    CHECK(tried > 0);
}

/* A right map in which units are others, or units that say nothing but the count. */
static void other_units_are_no_harm(uint64_t run) {
    random_seed(run);
    struct offset_run runs[300];
    int64_t next = 1;
    size_t run_count = 1 + random_below(300);
    for (size_t i = 0; i < run_count; i++) {
        runs[i].first = next + random_below(5);
        runs[i].last = runs[i].first + random_below(random_below(2) ? 3 : 1000);
        next = runs[i].last + 2;
    }
    encode(0, 0, runs, run_count);
    if (random_below(2)) {
        for (uint32_t left = 1 + random_below(4); left > 0; left--) {
            units[CHECKSUM + random_below((uint32_t)(count - CHECKSUM))] = random_below(8192);
        }
    } else {
        size_t from = CHECKSUM + 2 + random_below(10);
        count = from + random_below((uint32_t)(UNITS - from));
        uint32_t bound = random_below(2) ? 8192 : 1 + random_below(8192);
        for (size_t i = from; i < count; i++) {
            units[i] = random_below(bound);
        }
    }
    decode(random_below(2) ? 0 : INT64_MAX - (int64_t)random_below(1000000));
}

int main(void) {
    the_checksum_is_a_crc();
    no_offset_is_too_high();
    no_base_is_negative();
    all_units_are_needed_and_no_more();
    no_number_is_too_long();
    no_leader_epoch_is_too_high();
    a_unit_is_bounded();
    for (uint64_t run = 1; run <= runs(20000); run++) {
        other_units_are_no_harm(run);
    }
    return checked("offset_map_hostile");
}
