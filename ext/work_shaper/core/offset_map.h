/*
 * offset_map - which offsets beyond the frontier are finished, as a text that is committed beside the frontier.
 *
 * The next owner of a partition reads it and lets these offsets pass unseen, instead of working on them again.
 *
 * The text is printable ASCII without quotes and backslash, 4,096 bytes at most: "ws", a version, a colon, a checksum
 * and the code. The checksum covers the code and the base, the offset that is committed with it: a map is worth nothing
 * beside another base. The code holds the anchor and the leader epoch, which tell the log from another one of the same
 * name, and the lengths of gaps and runs in turn, in the range coder's bits, which adapt to how long they are. So it is
 * about as dense as can be, whatever the pattern, and what does not fit is cut at the far end.
 *
 * In 4,096 bytes are, of random maps: 26,200 offsets half of which are finished, 56,000 with 9 in 10, 324,000 with 99
 * in 100; of every second one 524,000 (the limit of runs, in 142 bytes). 40 workers on 100 keys, one message in 40 of
 * which takes 2 s and the others 10 ms, leave 2,000 to 4,600 offsets: 220 to 300 bytes. One message that hangs, 100
 * keys, 15,700 offsets behind it: 260 bytes; with keys after Zipf, 24,500 offsets, 4 in 10 unfinished: 3,360.
 */
#ifndef WORK_SHAPER_CORE_OFFSET_MAP_H
#define WORK_SHAPER_CORE_OFFSET_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OFFSET_MAP_LIMIT ((size_t)4096) /* bytes of a text at most */
#define OFFSET_MAP_COUNT_BITS 18u
#define OFFSET_MAP_RUNS_MAX ((size_t)1 << OFFSET_MAP_COUNT_BITS) /* in a text: 4 MiB for who reads it */

/* Finished offsets, both ends included. */
struct offset_run {
    int64_t first, last;
};

/* The first unfinished message, which the next owner receives first if it is the same log; or, where all that came in
 * was finished, the last of these. */
struct offset_anchor {
    int64_t offset;
    int64_t timestamp; /* any number; this only carries it */
    uint32_t hash;     /* of what the message holds */
};

/*
 * `base` is the offset that is committed, the next one to be read. In ascending order, all from 0 on, the last one
 * below INT64_MAX: base <= anchor.offset <= runs[0].first <= runs[0].last; and between two runs is an offset at least.
 */
struct offset_map {
    int64_t base;
    struct offset_anchor anchor;
    int32_t leader_epoch; /* the latest of what was received; -1: not known */
    struct offset_run *runs;
    size_t count; /* of runs; never 0 in a map that was decoded */
};

enum offset_map_status {
    OFFSET_MAP_OK,
    OFFSET_MAP_FOREIGN,       /* not a map: the text is empty, or of somebody else */
    OFFSET_MAP_OTHER_VERSION, /* a map that another version of ours wrote */
    OFFSET_MAP_DAMAGED,       /* a map that was changed, or made for another base */
    OFFSET_MAP_NO_MEMORY
};

/*
 * offset_map_encode - Writes the map into `text`, which has room for `limit` bytes: with as many of its runs, the
 * lowest first, as there is room for. More than OFFSET_MAP_LIMIT is never written. Does not end it with a NUL.
 * Allocates nothing. O(runs): 0.25 ms for a full text, 3 ms for OFFSET_MAP_RUNS_MAX.
 *
 * Returns the number of bytes; 0 when there are no runs, or no room for the first.
 */
size_t offset_map_encode(const struct offset_map *map, char *text, size_t limit);

/*
 * offset_map_decode - Reads a text of so many bytes that was committed beside `base`. Whatever the bytes are, what it
 * needs is bounded: OFFSET_MAP_RUNS_MAX runs, some 10 ms; 0.2 ms for a full text.
 *
 * Fills in the map if it returns OFFSET_MAP_OK; else `map->runs` is NULL. The caller frees it with offset_map_destroy.
 */
enum offset_map_status offset_map_decode(struct offset_map *map, const char *text, size_t length, int64_t base);

/*
 * offset_map_destroy - Frees the runs of a map that was decoded, and leaves one without runs.
 */
void offset_map_destroy(struct offset_map *map);

/*
 * offset_map_finished - Whether the map says that this offset is finished. O(log runs).
 */
bool offset_map_finished(const struct offset_map *map, int64_t offset);

/*
 * offset_map_last - The highest finished offset. The map must have a run.
 */
int64_t offset_map_last(const struct offset_map *map);

/*
 * offset_map_total - How many offsets are finished. O(runs).
 */
uint64_t offset_map_total(const struct offset_map *map);

#endif
