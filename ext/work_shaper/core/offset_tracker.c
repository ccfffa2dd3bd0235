#include "offset_tracker.h"

#include <stdlib.h>
#include <string.h>

/* An empty window keeps no more than this. */
#define FIRST_CAPACITY 64u
/* A window or heap that is at most one part in this many full shrinks to twice its length. That is far from the next
 * growth, so what came in or left meanwhile pays for the copying. */
#define SPARSE 8u

struct item offset_tracker_abandoned;

void offset_tracker_init(struct offset_tracker *tracker) {
    *tracker = (struct offset_tracker){
        .highest = OFFSET_NONE, .mark = OFFSET_NONE, .passed = OFFSET_NONE, .acknowledged = OFFSET_NONE};
    list_init(&tracker->moved);
}

void offset_tracker_init_untracked(struct offset_tracker *tracker) {
    offset_tracker_init(tracker);
    tracker->untracked = true;
}

void offset_tracker_clear(struct offset_tracker *tracker) {
    free(tracker->window);
    free(tracker->late);
    tracker->window = tracker->late = NULL;
    tracker->capacity = tracker->length = 0;
    tracker->late_capacity = tracker->late_length = 0;
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

static bool window_push(struct offset_tracker *tracker, struct item *item) {
    if (tracker->length == tracker->capacity && !window_grow(tracker)) {
        return false;
    }
    uint32_t sequence = tracker->head + tracker->length;
    *window_at(tracker, sequence) = (struct tracked){.offset = item->offset, .item = item};
    item->position = sequence & INT32_MAX; /* enough to find it: no window is longer than that */
    item->late = 0;
    tracker->length++;
    tracker->highest = item->offset;
    return true;
}

static void window_shift(struct offset_tracker *tracker) {
    tracker->head++;
    tracker->length--;
}

/* Puts an entry at an index of the heap and notes that in its item. */
static void late_put(struct offset_tracker *tracker, uint32_t index, struct tracked entry) {
    tracker->late[index] = entry;
    if (entry.item && entry.item != &offset_tracker_abandoned) {
        entry.item->position = index & INT32_MAX;
    }
}

/* The order of the heap: by offset, and of equal ones the unfinished first, so that the top says whether all of them
 * are finished. */
static bool before(struct tracked left, struct tracked right) {
    return left.offset < right.offset || (left.offset == right.offset && left.item && !right.item);
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

/* The frontier: the lowest offset that is tracked, and of equal ones one that is unfinished; or NULL. */
static const struct tracked *lowest(const struct offset_tracker *tracker) {
    const struct tracked *first = tracker->length ? window_at(tracker, tracker->head) : NULL;
    const struct tracked *late = tracker->late_length ? tracker->late : NULL;
    if (first && late) {
        return before(*late, *first) ? late : first;
    }
    return first ? first : late;
}

static void shift(struct offset_tracker *tracker, const struct tracked *entry) {
    if (entry == tracker->late) {
        late_shift(tracker);
    } else {
        window_shift(tracker);
    }
}

bool offset_tracker_receive(struct offset_tracker *tracker, struct item *item) {
    bool noted = item->offset > tracker->highest ? window_push(tracker, item) : late_push(tracker, item);
    tracker->received += noted;
    return noted;
}

void offset_tracker_finish(struct offset_tracker *tracker, const struct item *item) {
    if (item->late) {
        late_sink(tracker, item->position, (struct tracked){.offset = item->offset});
    } else {
        window_at(tracker, item->position)->item = NULL;
    }
}

void offset_tracker_abandon(struct offset_tracker *tracker, const struct item *item) {
    struct tracked *entry = item->late ? &tracker->late[item->position] : window_at(tracker, item->position);
    entry->item = &offset_tracker_abandoned;
    tracker->abandoned++;
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
    return (entry && !entry->item) || claim_ripe(&tracker->claim, entry);
}

static void claim_add(struct offset_tracker *tracker, int64_t offset) {
    struct claim *claim = &tracker->claim;
    claim->count++;
    if (offset > tracker->passed) {
        tracker->passed = claim->offset = offset;
        claim->due = true;
    } else {
        claim->repeated++;
        claim->repeated_offset = offset;
    }
}

const struct claim *offset_tracker_claim(struct offset_tracker *tracker, bool latest) {
    if (tracker->revoked || tracker->claim.underway) {
        return NULL;
    }
    struct claim *claim = &tracker->claim;
    const struct tracked *entry;
    while ((entry = lowest(tracker)) && !entry->item) {
        if (!latest && claim->due && entry->offset > claim->offset) {
            break;
        }
        int64_t offset = entry->offset;
        shift(tracker, entry);
        claim_add(tracker, offset);
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
    return (uint64_t)tracker->length + tracker->late_length + claimed;
}

bool offset_tracker_settled(const struct offset_tracker *tracker, int64_t upto) {
    const struct tracked *entry = lowest(tracker);
    return tracker->claim.count == 0 && !(entry && entry->offset <= upto);
}

void offset_tracker_each_unfinished(const struct offset_tracker *tracker, void (*visit)(struct item *item, void *data),
                                    void *data) {
    uint64_t length = (uint64_t)tracker->length + tracker->late_length;
    for (uint64_t i = 0; i < length; i++) {
        const struct tracked *entry =
            i < tracker->length ? window_at(tracker, tracker->head + (uint32_t)i) : &tracker->late[i - tracker->length];
        if (entry->item && entry->item != &offset_tracker_abandoned) {
            visit(entry->item, data);
        }
    }
}

const struct tracked *offset_tracker_oldest(const struct offset_tracker *tracker) {
    const struct tracked *oldest = NULL;
    for (uint32_t i = 0; i < tracker->length && !oldest; i++) {
        const struct tracked *entry = window_at(tracker, tracker->head + i);
        oldest = entry->item ? entry : NULL;
    }
    for (uint32_t i = 0; i < tracker->late_length; i++) {
        const struct tracked *entry = &tracker->late[i];
        if (entry->item && (!oldest || entry->offset < oldest->offset)) {
            oldest = entry;
        }
    }
    return oldest;
}

int64_t offset_tracker_highest_finished(const struct offset_tracker *tracker) {
    int64_t highest = tracker->passed;
    for (uint32_t i = 0; i < tracker->late_length; i++) {
        if (!tracker->late[i].item && tracker->late[i].offset > highest) {
            highest = tracker->late[i].offset;
        }
    }
    for (uint32_t left = tracker->length; left > 0; left--) {
        const struct tracked *entry = window_at(tracker, tracker->head + left - 1);
        if (!entry->item) {
            return entry->offset > highest ? entry->offset : highest;
        }
    }
    return highest;
}

size_t offset_tracker_bytes(const struct offset_tracker *tracker) {
    return ((size_t)tracker->capacity + tracker->late_capacity) * sizeof(struct tracked);
}
