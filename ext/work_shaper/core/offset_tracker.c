#include "offset_tracker.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64u
/* An empty window larger than this goes back to the system. */
#define KEPT_CAPACITY 16384u

struct item offset_tracker_abandoned;

void offset_tracker_init(struct offset_tracker *tracker) {
    *tracker = (struct offset_tracker){.highest = OFFSET_NONE, .passed = OFFSET_NONE, .acknowledged = OFFSET_NONE};
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

static bool window_grow(struct offset_tracker *tracker) {
    uint32_t capacity = tracker->capacity ? tracker->capacity * 2 : FIRST_CAPACITY;
    struct tracked *window = malloc(capacity * sizeof *window);
    if (!window) {
        return false;
    }
    for (uint32_t i = 0; i < tracker->length; i++) {
        uint32_t sequence = tracker->head + i;
        window[sequence & (capacity - 1)] = *window_at(tracker, sequence);
    }
    free(tracker->window);
    tracker->window = window;
    tracker->capacity = capacity;
    return true;
}

static bool window_push(struct offset_tracker *tracker, struct item *item) {
    if (tracker->length == tracker->capacity && !window_grow(tracker)) {
        return false;
    }
    uint32_t sequence = tracker->head + tracker->length;
    *window_at(tracker, sequence) = (struct tracked){.offset = item->offset, .item = item};
    item->place = sequence & INT32_MAX; /* enough to find it: no window is longer than that */
    item->late = 0;
    tracker->length++;
    tracker->highest = item->offset;
    return true;
}

static void window_shift(struct offset_tracker *tracker) {
    tracker->head++;
    tracker->length--;
    if (tracker->length == 0 && tracker->capacity > KEPT_CAPACITY) {
        free(tracker->window);
        tracker->window = NULL;
        tracker->capacity = 0;
    }
}

/* Puts an entry into its place in the heap and tells its item. */
static void late_put(struct offset_tracker *tracker, uint32_t index, struct tracked entry) {
    tracker->late[index] = entry;
    if (entry.item && entry.item != &offset_tracker_abandoned) {
        entry.item->place = index & INT32_MAX;
    }
}

/* The order of the heap: by offset, and of equal ones the unfinished first, so that the top tells of all of them. */
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

/* Puts an entry where it belongs at or below an index, whose own entry goes. */
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
        return;
    }
    free(tracker->late);
    tracker->late = NULL;
    tracker->late_capacity = 0;
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
        late_sink(tracker, item->place, (struct tracked){.offset = item->offset});
    } else {
        window_at(tracker, item->place)->item = NULL;
    }
}

void offset_tracker_abandon(struct offset_tracker *tracker, const struct item *item) {
    struct tracked *entry = item->late ? &tracker->late[item->place] : window_at(tracker, item->place);
    entry->item = &offset_tracker_abandoned;
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

void offset_tracker_unclaim(struct offset_tracker *tracker) {
    tracker->claim.underway = false;
}

uint64_t offset_tracker_pending(const struct offset_tracker *tracker) {
    uint64_t claimed = tracker->claim.underway ? 0 : tracker->claim.count;
    return (uint64_t)tracker->length + tracker->late_length + claimed;
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

size_t offset_tracker_bytes(const struct offset_tracker *tracker) {
    return ((size_t)tracker->capacity + tracker->late_capacity) * sizeof(struct tracked);
}
