#include "offset_tracker.h"

#include <stdlib.h>
#include <string.h>

/* An empty window keeps no more than this. */
#define FIRST_CAPACITY 64u
/* A window or heap that is at most one part in this many full shrinks to twice its length. That is far from the next
 * growth, so what came in or left meanwhile pays for the copying. */
#define SPARSE 8u

/* A finished entry that stands for one offset, and what another one adds to it. */
#define RUN_OF_ONE ((uintptr_t)3)
#define ONE_MORE ((uintptr_t)2)

struct item offset_tracker_abandoned;

_Static_assert(_Alignof(struct item) > 1, "an item's address is even");

void offset_tracker_init(struct offset_tracker *tracker, bool latest) {
    *tracker = (struct offset_tracker){.highest = OFFSET_NONE,
                                       .mark = OFFSET_NONE,
                                       .passed = OFFSET_NONE,
                                       .acknowledged = OFFSET_NONE,
                                       .given_up = OFFSET_NONE,
                                       .every = !latest};
    list_init(&tracker->moved);
}

void offset_tracker_init_untracked(struct offset_tracker *tracker) {
    offset_tracker_init(tracker, true);
    tracker->untracked = true;
}

void offset_tracker_clear(struct offset_tracker *tracker) {
    free(tracker->window);
    free(tracker->late);
    tracker->window = tracker->late = NULL;
    tracker->capacity = tracker->length = 0;
    tracker->late_capacity = tracker->late_length = 0;
    tracker->merged = 0;
    tracker->given_up = OFFSET_NONE;
    if (!tracker->claim.underway) {
        tracker->claim = (struct claim){0};
    }
}

static struct tracked *window_at(const struct offset_tracker *tracker, uint32_t sequence) {
    return &tracker->window[sequence & (tracker->capacity - 1)];
}

/* Doubles the capacity of a full window, usually without moving all of it: realloc can often extend it in place, and
 * then only what is on one side of the ring's seam has to move. */
static bool window_grow(struct offset_tracker *tracker) {
    uint32_t old = tracker->capacity, capacity = old ? old * 2 : FIRST_CAPACITY;
    struct tracked *window = realloc(tracker->window, capacity * sizeof *window);
    if (!window) {
        return false;
    }
    tracker->window = window;
    tracker->capacity = capacity;
    uint32_t seam = old ? tracker->head & (old - 1) : 0;
    if (tracker->head & old) {
        memcpy(&window[old + seam], &window[seam], (old - seam) * sizeof *window);
    } else if (seam) {
        memcpy(&window[old], window, seam * sizeof *window);
    }
    return true;
}

/* How many offsets a finished entry stands for. */
static uintptr_t run_length(struct tracked run) {
    return run.run / ONE_MORE;
}

/* The lowest offset that an entry of the window is known to stand for. */
static int64_t first_of(const struct offset_tracker *tracker, struct tracked entry) {
    return tracker->every && tracked_finished(entry) ? entry.offset - (int64_t)run_length(entry) + 1 : entry.offset;
}

/* Whether two neighbours can be one run. None goes across the mark: it is known of each whether it is up to it. */
static bool window_joins(const struct offset_tracker *tracker, struct tracked left, struct tracked right) {
    if (!tracked_finished(left) || !tracked_finished(right) || run_length(left) + run_length(right) > UINTPTR_MAX / 4) {
        return false;
    }
    bool marked_apart = left.offset <= tracker->mark && right.offset > tracker->mark;
    return !marked_apart && (!tracker->every || left.offset + 1 == first_of(tracker, right));
}

/* Makes one run of all neighbours that can be one. Returns whether that leaves the window at most half full. */
static bool window_compact(struct offset_tracker *tracker) {
    struct tracked *last = window_at(tracker, tracker->head);
    uint32_t length = 1;
    for (uint32_t i = 1; i < tracker->length; i++) {
        struct tracked entry = *window_at(tracker, tracker->head + i);
        if (window_joins(tracker, *last, entry)) {
            last->offset = entry.offset;
            last->run += entry.run - 1;
            continue;
        }
        last = window_at(tracker, tracker->head + length);
        *last = entry;
        if (!tracked_finished(entry) && entry.item != &offset_tracker_abandoned) {
            entry.item->position = ITEM_POSITION(tracker->head + length);
        }
        length++;
    }
    tracker->merged += tracker->length - length;
    tracker->length = length;
    return length <= tracker->capacity / 2;
}

/* For a full window. Where a run begins is not known of the latest: it could hide what comes before a late offset. */
static bool window_make_room(struct offset_tracker *tracker) {
    bool few_unfinished = tracker->waiting + tracker->running <= tracker->capacity / 4;
    bool compactable = few_unfinished && tracker->length > 0 && (tracker->every || tracker->late_length == 0);
    return (compactable && window_compact(tracker)) || window_grow(tracker);
}

/* Appends an entry. Returns its sequence number in *sequence. */
static bool window_append(struct offset_tracker *tracker, struct tracked entry, uint32_t *sequence) {
    if (tracker->length == tracker->capacity && !window_make_room(tracker)) {
        return false;
    }
    *sequence = tracker->head + tracker->length;
    *window_at(tracker, *sequence) = entry;
    tracker->length++;
    tracker->highest = entry.offset;
    return true;
}

static bool window_push(struct offset_tracker *tracker, struct item *item) {
    uint32_t sequence;
    if (!window_append(tracker, (struct tracked){.offset = item->offset, .item = item}, &sequence)) {
        return false;
    }
    item->position = ITEM_POSITION(sequence);
    item->late = 0;
    return true;
}

static void window_shift(struct offset_tracker *tracker) {
    tracker->head++;
    tracker->length--;
}

/* Puts an entry at an index of the heap and notes that in its item. */
static void late_put(struct offset_tracker *tracker, uint32_t index, struct tracked entry) {
    tracker->late[index] = entry;
    if (!tracked_finished(entry) && entry.item != &offset_tracker_abandoned) {
        entry.item->position = ITEM_POSITION(index);
    }
}

/* The order of the heap: by offset, and of equal ones the unfinished first, so that the top says whether all of them
 * are finished. */
static bool before(struct tracked left, struct tracked right) {
    return left.offset < right.offset ||
           (left.offset == right.offset && !tracked_finished(left) && tracked_finished(right));
}

static bool late_push(struct offset_tracker *tracker, struct item *item) {
    if (tracker->late_length == tracker->late_capacity) {
        uint32_t capacity = tracker->late_capacity ? tracker->late_capacity * 2 : FIRST_CAPACITY;
        struct tracked *late = realloc(tracker->late, capacity * sizeof *late);
        if (!late) {
            return false;
        }
        tracker->late = late;
        tracker->late_capacity = capacity;
    }
    item->late = 1;
    struct tracked entry = {.offset = item->offset, .item = item};
    uint32_t index = tracker->late_length++;
    while (index > 0 && before(entry, tracker->late[(index - 1) / 2])) {
        late_put(tracker, index, tracker->late[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    late_put(tracker, index, entry);
    return true;
}

/* Puts an entry where it belongs, at or below an index whose own entry goes. */
static void late_sink(struct offset_tracker *tracker, uint32_t index, struct tracked entry) {
    uint32_t length = tracker->late_length;
    for (;;) {
        uint32_t child = index * 2 + 1;
        if (child + 1 < length && before(tracker->late[child + 1], tracker->late[child])) {
            child++;
        }
        if (child >= length || !before(tracker->late[child], entry)) {
            break;
        }
        late_put(tracker, index, tracker->late[child]);
        index = child;
    }
    late_put(tracker, index, entry);
}

static void late_shift(struct offset_tracker *tracker) {
    struct tracked last = tracker->late[--tracker->late_length];
    if (tracker->late_length > 0) {
        late_sink(tracker, 0, last);
    }
}

/* Memory that is no longer needed */

/* A power of two that is twice the length or a little more. */
static uint32_t fitting(uint32_t length) {
    uint32_t capacity = FIRST_CAPACITY;
    while (capacity / 2 < length) {
        capacity *= 2;
    }
    return capacity;
}

static bool sparse(uint32_t length, uint32_t capacity) {
    return capacity > FIRST_CAPACITY && length <= capacity / SPARSE;
}

/* Gives the window a lower capacity, unless there is no memory to do so. */
static void window_shrink(struct offset_tracker *tracker, uint32_t capacity) {
    struct tracked *window = malloc(capacity * sizeof *window);
    if (!window) {
        return;
    }
    for (uint32_t i = 0; i < tracker->length; i++) {
        uint32_t sequence = tracker->head + i;
        window[sequence & (capacity - 1)] = *window_at(tracker, sequence);
    }
    free(tracker->window);
    tracker->window = window;
    tracker->capacity = capacity;
}

static void window_fit(struct offset_tracker *tracker) {
    if (tracker->length == 0) {
        tracker->head = 0; /* so that it grows without a seam */
    }
    if (!sparse(tracker->length, tracker->capacity)) {
        return;
    }
    if (tracker->length > 0) {
        window_shrink(tracker, fitting(tracker->length));
        return;
    }
    free(tracker->window);
    tracker->window = NULL;
    tracker->capacity = 0;
}

static void late_fit(struct offset_tracker *tracker) {
    if (tracker->late_length == 0) {
        free(tracker->late);
        tracker->late = NULL;
        tracker->late_capacity = 0;
    } else if (sparse(tracker->late_length, tracker->late_capacity)) {
        uint32_t capacity = fitting(tracker->late_length);
        struct tracked *late = realloc(tracker->late, capacity * sizeof *late);
        if (late) {
            tracker->late = late;
            tracker->late_capacity = capacity;
        }
    }
}

/* Whether what arrived late comes before the first of the window, or alone. */
static bool late_first(const struct offset_tracker *tracker) {
    if (tracker->length == 0) {
        return true;
    }
    struct tracked first = *window_at(tracker, tracker->head);
    first.offset = first_of(tracker, first);
    return before(*tracker->late, first);
}

/* The frontier: the lowest offset that is tracked, and of equal ones one that is unfinished; or NULL. */
static inline const struct tracked *lowest(const struct offset_tracker *tracker) {
    if (tracker->late_length && late_first(tracker)) {
        return tracker->late;
    }
    return tracker->length ? window_at(tracker, tracker->head) : NULL;
}

bool offset_tracker_receive(struct offset_tracker *tracker, struct item *item) {
    bool noted = item->offset > tracker->highest ? window_push(tracker, item) : late_push(tracker, item);
    tracker->received += noted;
    return noted;
}

bool offset_tracker_receive_finished(struct offset_tracker *tracker, int64_t offset) {
    uint32_t sequence;
    bool noted = window_append(tracker, (struct tracked){.offset = offset, .run = RUN_OF_ONE}, &sequence);
    tracker->received += noted;
    tracker->known += noted;
    return noted;
}

void offset_tracker_finish(struct offset_tracker *tracker, const struct item *item) {
    if (item->late) {
        late_sink(tracker, item->position, (struct tracked){.offset = item->offset, .run = RUN_OF_ONE});
    } else {
        window_at(tracker, item->position)->run = RUN_OF_ONE;
    }
}

void offset_tracker_abandon(struct offset_tracker *tracker, const struct item *item) {
    struct tracked *entry = item->late ? &tracker->late[item->position] : window_at(tracker, item->position);
    entry->item = &offset_tracker_abandoned;
    tracker->abandoned++;
    if (tracker->given_up == OFFSET_NONE || item->offset < tracker->given_up) {
        tracker->given_up = item->offset;
        tracker->given_up_message = item->message;
    }
}

/* Whether the claim may be acknowledged as it stands: nothing lower or equal came in since it was cut off. */
static bool claim_ripe(const struct claim *claim, const struct tracked *next) {
    return claim->count > 0 && !(claim->due && next && next->offset <= claim->offset);
}

bool offset_tracker_claimable(const struct offset_tracker *tracker) {
    if (tracker->revoked || tracker->claim.underway) {
        return false;
    }
    const struct tracked *entry = lowest(tracker);
    return (entry && tracked_finished(*entry)) || claim_ripe(&tracker->claim, entry);
}

static void claim_add(struct offset_tracker *tracker, int64_t offset, uint64_t count) {
    struct claim *claim = &tracker->claim;
    claim->count += count;
    if (offset > tracker->passed) {
        tracker->passed = claim->offset = offset;
        claim->due = true;
    } else {
        claim->repeated += count;
        claim->repeated_offset = offset;
    }
}

/* Takes a finished entry, or the first offset of its run, into the claim. */
static void claim_take(struct offset_tracker *tracker, const struct tracked *entry) {
    struct tracked taken = *entry;
    if (entry == tracker->late) {
        late_shift(tracker);
        claim_add(tracker, taken.offset, 1);
    } else if (tracker->every && taken.run != RUN_OF_ONE) {
        window_at(tracker, tracker->head)->run -= ONE_MORE;
        tracker->merged--;
        claim_add(tracker, first_of(tracker, taken), 1);
    } else {
        window_shift(tracker);
        tracker->merged -= run_length(taken) - 1;
        claim_add(tracker, taken.offset, run_length(taken));
    }
}

const struct claim *offset_tracker_claim(struct offset_tracker *tracker) {
    if (tracker->revoked || tracker->claim.underway) {
        return NULL;
    }
    struct claim *claim = &tracker->claim;
    const struct tracked *entry;
    while ((entry = lowest(tracker)) && tracked_finished(*entry)) {
        if (tracker->every && claim->due && first_of(tracker, *entry) > claim->offset) {
            break;
        }
        claim_take(tracker, entry);
    }
    claim->underway = claim_ripe(claim, entry);
    window_fit(tracker);
    late_fit(tracker);
    return claim->underway ? claim : NULL;
}

uint64_t offset_tracker_settle(struct offset_tracker *tracker, bool accepted) {
    struct claim settled = tracker->claim;
    if (accepted && settled.due) {
        tracker->acknowledged = settled.offset;
    }
    tracker->claim = (struct claim){0};
    return settled.count;
}

uint64_t offset_tracker_unclaim(struct offset_tracker *tracker) {
    tracker->claim.underway = false;
    if (!tracker->revoked) {
        return 0;
    }
    uint64_t forgotten = tracker->claim.count;
    tracker->claim = (struct claim){0};
    return forgotten;
}

uint64_t offset_tracker_pending(const struct offset_tracker *tracker) {
    uint64_t claimed = tracker->claim.underway ? 0 : tracker->claim.count;
    return (uint64_t)tracker->length + tracker->merged + tracker->late_length + claimed;
}

bool offset_tracker_settled(const struct offset_tracker *tracker, int64_t upto) {
    const struct tracked *entry = lowest(tracker);
    return tracker->claim.count == 0 && !(entry && entry->offset <= upto);
}

/* Looking */

void offset_tracker_each_unfinished(const struct offset_tracker *tracker, void (*visit)(struct item *item, void *data),
                                    void *data) {
    uint64_t length = (uint64_t)tracker->length + tracker->late_length;
    for (uint64_t i = 0; i < length; i++) {
        const struct tracked *entry =
            i < tracker->length ? window_at(tracker, tracker->head + (uint32_t)i) : &tracker->late[i - tracker->length];
        if (!tracked_finished(*entry) && entry->item != &offset_tracker_abandoned) {
            visit(entry->item, data);
        }
    }
}

/* The lowest unfinished offset of those that arrived late; or NULL. */
static const struct tracked *oldest_late(const struct offset_tracker *tracker) {
    const struct tracked *oldest = NULL;
    for (uint32_t i = 0; i < tracker->late_length; i++) {
        const struct tracked *entry = &tracker->late[i];
        if (!tracked_finished(*entry) && (!oldest || entry->offset < oldest->offset)) {
            oldest = entry;
        }
    }
    return oldest;
}

/* The place in the window of its first entry that is unfinished, counted from the head; its length: there is none. */
static uint32_t oldest_in_window(const struct offset_tracker *tracker) {
    uint32_t place = 0;
    while (place < tracker->length && tracked_finished(*window_at(tracker, tracker->head + place))) {
        place++;
    }
    return place;
}

const struct tracked *offset_tracker_oldest(const struct offset_tracker *tracker) {
    uint32_t place = oldest_in_window(tracker);
    const struct tracked *oldest = place < tracker->length ? window_at(tracker, tracker->head + place) : NULL;
    const struct tracked *late = oldest_late(tracker);
    return late && !(oldest && oldest->offset <= late->offset) ? late : oldest;
}

void offset_tracker_each_run(const struct offset_tracker *tracker,
                             bool (*visit)(int64_t first, int64_t last, void *data), void *data) {
    const struct tracked *late = oldest_late(tracker);
    int64_t unfinished = OFFSET_NONE, last = OFFSET_NONE; /* the last unfinished, and what is finished above it */
    for (uint32_t i = oldest_in_window(tracker); i < tracker->length; i++) {
        struct tracked entry = *window_at(tracker, tracker->head + i);
        if (tracked_finished(entry)) {
            if (late && entry.offset >= late->offset) {
                break;
            }
            last = entry.offset;
            continue;
        }
        if (last != OFFSET_NONE && !visit(unfinished + 1, last, data)) {
            return;
        }
        unfinished = entry.offset;
        last = OFFSET_NONE;
    }
    if (last != OFFSET_NONE) {
        visit(unfinished + 1, last, data);
    }
}

uint64_t offset_tracker_finished_above(const struct offset_tracker *tracker, int64_t offset) {
    uint64_t count = 0;
    for (uint32_t left = tracker->length; left > 0; left--) {
        const struct tracked *entry = window_at(tracker, tracker->head + left - 1);
        if (entry->offset <= offset) {
            break;
        }
        count += tracked_finished(*entry) ? entry->run >> 1u : 0;
    }
    return count;
}

int64_t offset_tracker_highest_finished(const struct offset_tracker *tracker) {
    int64_t highest = tracker->passed;
    for (uint32_t i = 0; i < tracker->late_length; i++) {
        if (tracked_finished(tracker->late[i]) && tracker->late[i].offset > highest) {
            highest = tracker->late[i].offset;
        }
    }
    for (uint32_t left = tracker->length; left > 0; left--) {
        const struct tracked *entry = window_at(tracker, tracker->head + left - 1);
        if (tracked_finished(*entry)) {
            return entry->offset > highest ? entry->offset : highest;
        }
    }
    return highest;
}

size_t offset_tracker_bytes(const struct offset_tracker *tracker) {
    return ((size_t)tracker->capacity + tracker->late_capacity) * sizeof(struct tracked);
}
