#include "check.h"
#include "core/offset_map.h"

#include "allocation.h"

#include <stdbool.h>
#include <string.h>

#define MOST_RUNS (OFFSET_MAP_RUNS_MAX + 10)

static struct offset_run given_runs[MOST_RUNS];
static struct offset_map given = {.runs = given_runs};
static const char prefix[4] = {'w', 's', '1', ':'};
static char text[OFFSET_MAP_LIMIT];
static size_t length;

static void begin(int64_t base, int64_t anchor) {
    given.base = base;
    given.anchor = (struct offset_anchor){.offset = anchor, .timestamp = 1795773600000, .hash = 0xC0FFEE01};
    given.leader_epoch = 3;
    given.count = 0;
}

static void add(int64_t first, int64_t last) {
    CHECK(given.count < MOST_RUNS);
    given.runs[given.count++] = (struct offset_run){.first = first, .last = last};
}

/* A run, and for how long it is unfinished before it: from 1 to about `gap`, and 1 to about `run`. */
static void add_at_random(uint32_t gap, uint32_t run) {
    int64_t unfinished = given.count ? given.runs[given.count - 1].last + 1 : given.anchor.offset;
    int64_t first = unfinished + 1 + random_below(gap);
    add(first, first + random_below(run));
}

/* Each of so many offsets behind the anchor is finished with so many thousandths. */
static void fill(uint32_t offsets, uint32_t thousandths) {
    for (uint32_t i = 1; i <= offsets; i++) {
        if (random_below(1000) < thousandths) {
            int64_t offset = given.anchor.offset + i;
            if (given.count && given.runs[given.count - 1].last == offset - 1) {
                given.runs[given.count - 1].last = offset;
            } else {
                add(offset, offset);
            }
        }
    }
}

/* Into memory of just that size, so that what is written beyond it is noticed. */
static void encode_within(size_t limit) {
    char *room = malloc(limit ? limit : 1);
    CHECK(room != NULL);
    length = offset_map_encode(&given, room, limit);
    CHECK(length <= limit && length <= OFFSET_MAP_LIMIT);
    memcpy(text, room, length);
    free(room);
    for (size_t i = 0; i < length; i++) {
        CHECK(text[i] > ' ' && text[i] < 127 && !strchr("\"'\\", text[i]));
    }
}

static enum offset_map_status decode_bytes(struct offset_map *map, const char *bytes, size_t size, int64_t base) {
    char *exact = malloc(size ? size : 1);
    CHECK(exact != NULL);
    memcpy(exact, bytes, size);
    enum offset_map_status status = offset_map_decode(map, exact, size, base);
    free(exact);
    CHECK((status == OFFSET_MAP_OK) == (map->runs != NULL) && (status == OFFSET_MAP_OK) == (map->count > 0));
    return status;
}

static void check_same_runs(const struct offset_map *map) {
    CHECK(map->base == given.base && map->anchor.offset == given.anchor.offset);
    CHECK(map->anchor.timestamp == given.anchor.timestamp && map->anchor.hash == given.anchor.hash);
    CHECK(map->leader_epoch == given.leader_epoch);
    for (size_t i = 0; i < map->count; i++) {
        CHECK(map->runs[i].first == given.runs[i].first && map->runs[i].last == given.runs[i].last);
    }
}

/* What comes back is the given map, or its first runs. Returns how many. */
static size_t comes_back_within(size_t limit) {
    encode_within(limit);
    if (length == 0) {
        return 0;
    }
    struct offset_map map;
    CHECK(decode_bytes(&map, text, length, given.base) == OFFSET_MAP_OK);
    check_same_runs(&map);
    size_t count = map.count;
    CHECK(count <= given.count);
    offset_map_destroy(&map);
    CHECK(map.runs == NULL && map.count == 0 && !offset_map_finished(&map, 0));
    return count;
}

static void comes_back_whole(void) {
    CHECK(comes_back_within(OFFSET_MAP_LIMIT) == given.count);
}

/* Round trips */

/* Each map of 16 offsets from each of three anchors on, or from right behind them; and each offset is answered for. */
static void every_small_map_comes_back(void) {
    for (uint32_t bits = 1; bits < 1u << 16; bits++) {
        int64_t anchor = 1000 + (bits % 3), lowest = anchor + (bits / 3 % 2);
        begin(1000, anchor);
        for (int i = 0; i < 16; i++) {
            if (bits >> i & 1) {
                int from = i;
                while (bits >> (i + 1) & 1) {
                    i++;
                }
                add(lowest + from, lowest + i);
            }
        }
        encode_within(OFFSET_MAP_LIMIT);
        struct offset_map map;
        CHECK(offset_map_decode(&map, text, length, 1000) == OFFSET_MAP_OK && map.count == given.count);
        check_same_runs(&map);
        for (int i = -3; i < 20; i++) {
            CHECK(offset_map_finished(&map, lowest + i) == (i >= 0 && i < 16 && (bits >> i & 1)));
        }
        CHECK(offset_map_total(&map) == (uint64_t)__builtin_popcount(bits));
        CHECK(offset_map_last(&map) == lowest + 31 - __builtin_clz(bits));
        offset_map_destroy(&map);
    }
}

/* 100,000 offsets of any density; if not all fit, the first runs do. */
static void random_maps_come_back(uint64_t run) {
    random_seed(run);
    begin(random_below(1000000), 0);
    given.anchor.offset = given.base + (random_below(2) ? 0 : random_below(50));
    given.anchor.timestamp = (int64_t)random_below(UINT32_MAX) - random_below(UINT32_MAX);
    given.leader_epoch = (int32_t)random_below(1000) - 1;
    fill(100000, 1 + random_below(1000));
    size_t count = comes_back_within(OFFSET_MAP_LIMIT);
    CHECK(count > 0 && (count == given.count || length > OFFSET_MAP_LIMIT - 12));
    given.count = 0;
    uint32_t gap = 1 + random_below(1u << random_below(10)), most = 1 + random_below(1u << random_below(20));
    for (int i = 0; i < 5000; i++) {
        add_at_random(gap, most);
    }
    CHECK(comes_back_within(OFFSET_MAP_LIMIT) > 500);
}

static void the_ends_of_all_numbers_come_back(void) {
    begin(0, 0);
    add(1, INT64_MAX - 1);
    comes_back_whole();
    begin(0, INT64_MAX - 2);
    add(INT64_MAX - 1, INT64_MAX - 1);
    comes_back_whole();
    begin(INT64_MAX - 4, INT64_MAX - 4);
    given.anchor.timestamp = INT64_MIN;
    given.leader_epoch = INT32_MAX;
    given.anchor.hash = UINT32_MAX;
    add(INT64_MAX - 3, INT64_MAX - 3);
    add(INT64_MAX - 1, INT64_MAX - 1);
    comes_back_whole();
    begin(0, 0);
    given.anchor.timestamp = INT64_MAX;
    given.leader_epoch = -1;
    for (int i = 2; i < 63; i++) {
        add((int64_t)1 << i, ((int64_t)1 << i) + ((int64_t)1 << (i - 1)) - 1);
    }
    comes_back_whole();
}

static void nothing_is_written_of_nothing(void) {
    begin(5, 5);
    encode_within(OFFSET_MAP_LIMIT);
    CHECK(length == 0);
}

/* What is written today is read by all that know this version. */
static void the_text_stays_the_same(void) {
    begin(100, 101);
    add(102, 105);
    add(107, 107);
    add(110, 1109);
    encode_within(OFFSET_MAP_LIMIT);
    const char *expected = "ws1:!430DY~#v<!$9L~#}fr0,KgM5]Az6i";
    if (length != strlen(expected) || memcmp(text, expected, length) != 0) {
        fprintf(stderr, "%.*s\n", (int)length, text);
    }
    CHECK(length == strlen(expected) && memcmp(text, expected, length) == 0);
}

/* What fits */

/* With every limit: the first runs, never fewer than with less room. */
static void is_cut_at_the_far_end(void (*make)(void)) {
    begin(7, 7);
    make();
    size_t before = 0;
    for (size_t limit = 0; limit <= OFFSET_MAP_LIMIT + 3; limit++) {
        size_t count = comes_back_within(limit);
        CHECK(count >= before && (count > 0 || limit < 60));
        before = count;
    }
}

static void many_runs(void) {
    random_seed(3);
    for (int i = 0; i < 9000; i++) {
        add_at_random(4, 30);
    }
}

static void few_runs(void) {
    random_seed(4);
    for (int i = 0; i < 20; i++) {
        add_at_random(1000, 100000);
    }
}

static void one_run(void) {
    add(9, 1000000000);
}

/* Cut after each number of runs: the count that is written must not make the last one too long. */
static void every_cut_comes_back(uint64_t run) {
    random_seed(run);
    begin(random_below(1000), 1000);
    for (int i = 0; i < 400; i++) {
        add_at_random(1 + random_below(40), 1 + random_below(40));
    }
    for (size_t limit = 50; limit < 400; limit++) {
        CHECK(comes_back_within(limit) > 0 || limit < 60);
    }
}

static int64_t offsets_that_fit(uint32_t offsets, uint32_t thousandths) {
    random_seed(1);
    begin(0, 0);
    fill(offsets, thousandths);
    size_t count = comes_back_within(OFFSET_MAP_LIMIT);
    CHECK(count > 0 && count < given.count);
    return given.runs[count - 1].last;
}

/* The figures of the header. */
static void it_is_dense(void) {
    CHECK(offsets_that_fit(100000, 500) > 26000);
    CHECK(offsets_that_fit(100000, 900) > 55500);
    CHECK(offsets_that_fit(600000, 990) > 320000);
    begin(0, 0);
    while (given.count < MOST_RUNS) {
        add(2 * (int64_t)given.count + 1, 2 * (int64_t)given.count + 1);
    }
    CHECK(comes_back_within(OFFSET_MAP_LIMIT) == OFFSET_MAP_RUNS_MAX && length < 2000);
    begin(0, 0);
    add(1, 10000);
    encode_within(OFFSET_MAP_LIMIT);
    CHECK(length < 45);
}

/* Damage */

/* Says that it is none, or the same map: never another one. */
static void check_harmless(const char *bytes, size_t size) {
    struct offset_map map;
    if (decode_bytes(&map, bytes, size, given.base) == OFFSET_MAP_OK) {
        check_same_runs(&map);
        offset_map_destroy(&map);
    }
}

/* In place of one byte: another one, none, two, or its neighbour. Each byte in all ways, or in one out of so many. */
static void damage_is_noticed(uint32_t out_of) {
    char damaged[OFFSET_MAP_LIMIT + 1];
    encode_within(OFFSET_MAP_LIMIT);
    for (size_t i = 0; i <= length; i++) {
        memcpy(damaged, text, i);
        for (int byte = 0; byte < 256; byte++) {
            if (random_below(out_of) > 0) {
                continue;
            }
            damaged[i] = (char)byte;
            memcpy(damaged + i + 1, text + i, length - i);
            check_harmless(damaged, length + 1);
            if (i < length) {
                memcpy(damaged + i + 1, text + i + 1, length - i - 1);
                check_harmless(damaged, length);
            }
        }
        if (i < length) {
            memcpy(damaged + i, text + i + 1, length - i - 1);
            check_harmless(damaged, length - 1);
            check_harmless(text, i);
        }
        if (i + 1 < length) {
            memcpy(damaged, text, length);
            damaged[i] = text[i + 1];
            damaged[i + 1] = text[i];
            check_harmless(damaged, length);
        }
    }
}

/* A byte that is another one is always noticed behind the prefix, whatever the odds of a checksum. */
static void one_other_byte_is_always_noticed(void) {
    encode_within(OFFSET_MAP_LIMIT);
    for (size_t i = 4; i < length; i++) {
        for (int byte = 0; byte < 256; byte++) {
            char before = text[i];
            struct offset_map map;
            text[i] = (char)byte;
            CHECK(offset_map_decode(&map, text, length, given.base) == OFFSET_MAP_DAMAGED || text[i] == before);
            offset_map_destroy(&map);
            text[i] = before;
        }
    }
}

/* So is one more at the end, which no longer makes whole units. */
static void one_more_byte_is_always_noticed(void) {
    struct offset_map map;
    encode_within(OFFSET_MAP_LIMIT - 1);
    for (int byte = 0; byte < 256; byte++) {
        text[length] = (char)byte;
        CHECK(offset_map_decode(&map, text, length + 1, given.base) == OFFSET_MAP_DAMAGED);
    }
}

/* The digits of a unit can be written in one way only: 91 of one place are not 1 of the next. */
static void no_other_bytes_are_digits(void) {
    unsigned tried = 0;
    for (int64_t anchor = 0; anchor < 200; anchor++) {
        begin(0, anchor);
        add(anchor + 7, anchor + 900);
        encode_within(OFFSET_MAP_LIMIT);
        for (size_t i = 4; i < length; i += 2) {
            if (text[i] >= '(' && text[i] <= 'Z' && text[i + 1] == '!') {
                struct offset_map map;
                for (int byte = 0; byte < 256; byte++) {
                    char other[OFFSET_MAP_LIMIT];
                    memcpy(other, text, length);
                    other[i]--;
                    other[i + 1] = (char)byte;
                    CHECK(offset_map_decode(&map, other, length, 0) == OFFSET_MAP_DAMAGED);
                }
                tried++;
            }
        }
    }
    CHECK(tried > 0);
}

static void another_base_is_noticed(void) {
    struct offset_map map;
    begin(100, 100);
    add(102, 200);
    encode_within(OFFSET_MAP_LIMIT);
    for (int64_t base = -200; base < 1000; base++) {
        CHECK(decode_bytes(&map, text, length, base) == (base == 100 ? OFFSET_MAP_OK : OFFSET_MAP_DAMAGED));
        offset_map_destroy(&map);
    }
    for (int bit = 0; bit < 64; bit++) {
        int64_t base = (int64_t)(UINT64_C(100) ^ UINT64_C(1) << bit);
        CHECK(decode_bytes(&map, text, length, base) == OFFSET_MAP_DAMAGED);
    }
}

static void tells_whose_text_it_is(void) {
    static const char *const foreign[] = {"",         "w",    "ws",    "ws1",   "ws:",       "WS1:abcdef", "wsx1:",
                                          "vs1:aaaa", "ws1;", "ws 1:", " ws1:", "{\"a\":1}", "bGVnYWN5"};
    static const char *const other[] = {"ws2:",      "ws2:whatever \x80\xFF",  "ws0:aa", "ws11:aaaa",
                                        "ws01:aaaa", "ws99999999999999999999:"};
    static const char *const damaged[] = {"ws1:",  "ws1:a",    "ws1:!!!!!!", "ws1:!!!!!!!!",
                                          "ws1: ", "ws1:ws1:", "ws1:~~~~~~"};
    struct offset_map map;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        CHECK(decode_bytes(&map, foreign[i], strlen(foreign[i]), 0) == OFFSET_MAP_FOREIGN);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        CHECK(decode_bytes(&map, other[i], strlen(other[i]), 0) == OFFSET_MAP_OTHER_VERSION);
    }
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        CHECK(decode_bytes(&map, damaged[i], strlen(damaged[i]), 0) == OFFSET_MAP_DAMAGED);
    }
    static char longest[1 << 20];
    memset(longest, '!', sizeof longest);
    memcpy(longest, prefix, sizeof prefix);
    CHECK(decode_bytes(&map, longest, sizeof longest, 0) == OFFSET_MAP_DAMAGED);
}

static void random_bytes_are_no_map(uint64_t run) {
    random_seed(run);
    char bytes[300];
    size_t size = random_below(sizeof bytes);
    bool digits = random_below(2);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(digits ? '#' + random_below(4) : random_below(256));
    }
    memcpy(bytes, prefix, sizeof prefix);
    struct offset_map map;
    CHECK(decode_bytes(&map, bytes, size, 0) != OFFSET_MAP_OK);
}

static void says_that_there_is_no_memory(void) {
    struct offset_map map;
    begin(0, 0);
    add(1, 1);
    encode_within(OFFSET_MAP_LIMIT);
    allocations_left = 0;
    CHECK(offset_map_decode(&map, text, length, 0) == OFFSET_MAP_NO_MEMORY && !map.runs && map.count == 0);
    allocations_left = -1;
    comes_back_whole();
}

int main(void) {
    nothing_is_written_of_nothing();
    the_text_stays_the_same();
    every_small_map_comes_back();
    the_ends_of_all_numbers_come_back();
    is_cut_at_the_far_end(many_runs);
    is_cut_at_the_far_end(few_runs);
    is_cut_at_the_far_end(one_run);
    it_is_dense();
    tells_whose_text_it_is();
    another_base_is_noticed();
    no_other_bytes_are_digits();
    says_that_there_is_no_memory();
    begin(1000, 1002);
    add(1003, 1003);
    add(1010, 1300);
    damage_is_noticed(1);
    one_other_byte_is_always_noticed();
    one_more_byte_is_always_noticed();
    begin(1000, 1000);
    many_runs();
    damage_is_noticed(200);
    for (uint64_t run = 1; run <= runs(30); run++) {
        random_maps_come_back(run);
        every_cut_comes_back(run);
    }
    for (uint64_t run = 1; run <= runs(30) * 1000; run++) {
        random_bytes_are_no_map(run);
    }
    return checked("offset_map");
}
