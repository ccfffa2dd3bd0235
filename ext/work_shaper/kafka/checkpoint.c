#include "checkpoint.h"

#include "../core/offset_map.h"
#include "../manager/manager.h"
#include "message.h"
#include "offset_map_object.h"

#include <stdlib.h>

static bool nothing_finished(const struct offset_tracker *tracker) {
    return tracker->received == tracker->abandoned + tracker->waiting + tracker->running;
}

/* From where the next owner goes on: the lowest unfinished message of a partition; or, where all is finished, the last
 * one. */
struct frontier {
    int64_t offset;
    VALUE message;
    const struct offset_anchor *finished; /* what the message was, in place of it; NULL: it is unfinished */
};

/* Returns false when everything is finished. */
static bool find_frontier(const struct offset_tracker *tracker, struct frontier *frontier) {
    const struct tracked *oldest = offset_tracker_oldest(tracker);
    if (!oldest) {
        return false;
    }
    frontier->offset = oldest->offset;
    frontier->finished = NULL;
    /* Of those that were dropped the lowest is known, and the frontier is that one. */
    bool dropped = oldest->item == &offset_tracker_abandoned;
    frontier->message = (VALUE)(dropped ? tracker->given_up_message : oldest->item->message);
    return true;
}

struct runs {
    struct offset_map map;
    size_t room;
};

static bool add_run(int64_t first, int64_t last, void *data) {
    struct runs *runs = data;
    if (runs->map.count == runs->room) {
        return false;
    }
    runs->map.runs[runs->map.count++] = (struct offset_run){.first = first, .last = last};
    return true;
}

/* Adds what a map says is finished above the highest offset that has come in. The last run before it may end there. */
static void add_rest(struct runs *runs, const struct offset_map *map, int64_t highest) {
    for (size_t i = 0; i < map->count; i++) {
        int64_t first = map->runs[i].first > highest ? map->runs[i].first : highest + 1;
        if (map->runs[i].last < first) {
            continue;
        }
        size_t count = runs->map.count;
        if (count > 0 && runs->map.runs[count - 1].last + 1 == first) {
            runs->map.runs[count - 1].last = map->runs[i].last;
        } else {
            add_run(first, map->runs[i].last, runs);
        }
    }
    if (map->leader_epoch > runs->map.leader_epoch) {
        runs->map.leader_epoch = map->leader_epoch;
    }
}

/* A text that is longer may be cut. */
#define SURELY_WHOLE (OFFSET_MAP_LIMIT - 64)

/* The highest offset that a text says is finished. */
static int64_t last_of(const char *text, size_t length, int64_t base) {
    struct offset_map map;
    if (offset_map_decode(&map, text, length, base) != OFFSET_MAP_OK) {
        return base;
    }
    int64_t last = offset_map_last(&map);
    offset_map_destroy(&map);
    return last;
}

/* What is finished beyond the frontier, as a text, or nil. Runs no Ruby code.
 *
 * known: what the owner before said is finished, which may not have come in yet, or NULL.
 * last: gets the highest finished offset that the text says; of others that are higher it does not. */
static VALUE finished_beyond(const struct partition *partition, const struct frontier *frontier,
                             const struct offset_map *known, int64_t *last) {
    const struct offset_tracker *tracker = &partition->tracker;
    *last = frontier->offset;
    if (tracker->length < 2 && !known) {
        return Qnil;
    }
    struct runs runs = {.map = {.base = frontier->offset,
                                .anchor = {.offset = frontier->offset},
                                .leader_epoch = partition->leader_epoch},
                        .room = tracker->length + (known ? known->count : 0) + 1};
    runs.map.runs = malloc(runs.room * sizeof *runs.map.runs);
    if (!runs.map.runs) {
        return Qnil;
    }
    if (frontier->finished) {
        add_run(frontier->offset, frontier->offset, &runs);
    }
    offset_tracker_each_run(tracker, add_run, &runs);
    if (known) {
        add_rest(&runs, known, tracker->highest);
    }
    char text[OFFSET_MAP_LIMIT];
    size_t length = 0;
    if (runs.map.count > 0) {
        if (frontier->finished) {
            runs.map.anchor = *frontier->finished;
        } else {
            runs.map.anchor.hash = message_fingerprint(frontier->message, &runs.map.anchor.timestamp);
        }
        length = offset_map_encode(&runs.map, text, sizeof text);
    }
    if (length > 0) {
        bool whole = length < SURELY_WHOLE && runs.map.count < OFFSET_MAP_RUNS_MAX;
        *last = whole ? runs.map.runs[runs.map.count - 1].last : last_of(text, length, frontier->offset);
    }
    free(runs.map.runs);
    return length > 0 ? rb_usascii_str_new(text, (long)length) : Qnil;
}

/*
 * call-seq: checkpoint(partition, map)
 *
 * From where another owner of the partition would have to go on, and what is finished beyond that: an offset and a
 * text to be committed beside it, or nil; and how many messages whose work is finished are not repeated then. Nil when
 * nothing of the partition is finished. The map, an OffsetMap or nil, is that with which the partition came: what it
 * says of messages that have not come in is passed on. When all that has come in is finished, the offset is that of the
 * last message then, by which the next owner knows the log, and the text says that it is finished.
 */
static VALUE checkpoint(VALUE self, VALUE key, VALUE map) {
    const struct partition *partition = manager_partition(self, key);
    if (!partition || nothing_finished(&partition->tracker)) {
        return Qnil;
    }
    const struct offset_tracker *tracker = &partition->tracker;
    uint64_t finished = offset_tracker_finished_here(tracker);
    struct frontier frontier;
    const struct offset_map *known = offset_map_proven(map);
    if (!find_frontier(tracker, &frontier)) {
        if (!known || offset_map_last(known) <= tracker->highest) {
            return rb_ary_new_from_args(3, LL2NUM(tracker->highest + 1), Qnil, ULL2NUM(finished));
        }
        frontier = (struct frontier){.offset = tracker->highest, .finished = offset_map_latest(map)};
    }
    int64_t last;
    VALUE text = finished_beyond(partition, &frontier, known, &last);
    RB_GC_GUARD(map);
    uint64_t left_out = offset_tracker_finished_above(tracker, last);
    return rb_ary_new_from_args(3, LL2NUM(frontier.offset), text, ULL2NUM(finished - left_out));
}

void init_checkpoint(VALUE feeding) {
    rb_define_method(feeding, "checkpoint", checkpoint, 2);
}
