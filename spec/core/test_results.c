#include "check.h"
#include "core/results.h"

#include "allocation.h"

#define MOST 400

/* The naive model: every input that was ever pushed, with what became of it. */
struct input {
    struct seat *seat; /* NULL: it was taken, or freed */
    int64_t index;
    enum seat_state state;
    int settled; /* how many were settled before it, once it is */
};

static struct results results;
static struct input inputs[MOST];
static int pushed, settled, inside;

static void begin(bool ordered) {
    results_init(&results, ordered, sizeof(struct seat));
    pushed = settled = inside = 0;
    CHECK(results.highest == -1 && !results_next(&results));
}

static bool is_settled(const struct input *input) {
    return input->state >= SEAT_VALUE;
}

static int64_t highest(void) {
    int64_t found = -1;
    for (int i = 0; i < pushed; i++) {
        found = inputs[i].index > found ? inputs[i].index : found;
    }
    return found;
}

static void push(int64_t index) {
    struct input *input = &inputs[pushed];
    *input = (struct input){.index = index, .state = SEAT_WAITING};
    input->seat = results_enter(&results, index, (uintptr_t)pushed);
    pushed++;
    inside++;
    CHECK(input->seat && input->seat->value == (uintptr_t)pushed - 1 && input->seat->index == index);
    CHECK(input->seat->state == SEAT_WAITING && !input->seat->left);
    CHECK(results.highest == highest());
}

static void settle(int number, enum seat_state state) {
    inputs[number].state = state;
    inputs[number].settled = settled++;
    results_settle(&results, inputs[number].seat, state, (uintptr_t)number + MOST);
}

/* Whether one comes out before another. */
static bool before(const struct input *left, const struct input *right) {
    return results.ordered ? left->index < right->index : left->settled < right->settled;
}

/* One of those whose turn it is, or NULL; an unordered one has no turn before it is settled. */
static const struct input *first(void) {
    const struct input *found = NULL;
    for (int i = 0; i < pushed; i++) {
        const struct input *input = &inputs[i];
        if (input->seat && (results.ordered || is_settled(input)) && (!found || before(input, found))) {
            found = input;
        }
    }
    return found;
}

static int number_of(const struct seat *seat) {
    return (int)seat->value - MOST;
}

/* Whether nothing may come out: something is to come first that is not settled. Of equals it may be any. */
static bool held_up(void) {
    for (int i = 0; i < pushed; i++) {
        if (inputs[i].seat && !is_settled(&inputs[i]) && !before(first(), &inputs[i])) {
            return true;
        }
    }
    return false;
}

static bool may_come_out(const struct seat *seat) {
    if (!first() || !seat) {
        return !seat && (!first() || held_up());
    }
    const struct input *input = &inputs[number_of(seat)];
    return input->seat == seat && is_settled(input) && input->state == seat->state && !before(first(), input);
}

static void take(struct seat *seat) {
    inputs[number_of(seat)].seat = NULL;
    inside--;
    results_take(&results, seat);
}

static struct input *some(bool (*wanted)(const struct input *input)) {
    uint32_t from = random_below(MOST);
    for (int i = 0; i < pushed; i++) {
        struct input *input = &inputs[((int)from + i) % pushed];
        if (input->seat && wanted(input)) {
            return input;
        }
    }
    return NULL;
}

static bool unsettled(const struct input *input) {
    return !is_settled(input);
}

static bool any(const struct input *input) {
    (void)input;
    return true;
}

static enum seat_state some_end(void) {
    const enum seat_state ends[] = {SEAT_VALUE, SEAT_ERROR, SEAT_SKIPPED};
    return ends[random_below(3)];
}

static int64_t some_index(uint32_t spread) {
    switch (random_below(4)) {
    case 0:
        return random_below(spread); /* late, or a duplicate */
    case 1:
        return results.highest + 1 + random_below(spread); /* with a gap */
    default:
        return results.highest + 1;
    }
}

static void step(uint32_t pushes, uint32_t spread) {
    struct input *input = some(unsettled);
    if (random_below(10) < pushes) {
        push(some_index(spread));
    } else if (random_below(2) && input) {
        settle((int)(input - inputs), some_end());
    } else if (results_next(&results)) {
        take(results_next(&results));
    }
    CHECK(may_come_out(results_next(&results)));
    CHECK(results.inside == (uint32_t)inside);
}

/* All that is inside is left; what is settled or waits is freed at once, what runs when it is over. */
static void leave(void) {
    results_leave_all(&results);
    CHECK(results.inside == 0 && !results_next(&results));
    for (struct input *input; (input = some(any));) {
        CHECK(input->seat->left);
        if (!is_settled(input) && random_below(2)) {
            settle((int)(input - inputs), some_end());
            CHECK(!results_next(&results));
        }
        results_free(&results, input->seat);
        input->seat = NULL;
    }
}

static void empty_it(void) {
    for (struct input *input; (input = some(unsettled));) {
        settle((int)(input - inputs), some_end());
    }
    for (struct seat *seat; (seat = results_next(&results));) {
        CHECK(may_come_out(seat));
        take(seat);
    }
    CHECK(inside == 0);
}

static void end(void) {
    CHECK(results.inside == 0 && list_empty(&results.all));
    pool_destroy(&results.seats);
    CHECK(pool_bytes(&results.seats) == 0);
}

static void gives_what_the_model_gives(uint64_t run, bool ordered) {
    random_seed(run);
    begin(ordered);
    uint32_t pushes = 1 + random_below(9), spread = 1 + random_below(50);
    while (pushed < MOST && random_below(600)) {
        step(pushes, spread);
    }
    if (random_below(2)) {
        empty_it();
    } else {
        leave();
    }
    end();
}

static void takes_the_highest_index_there_is(void) {
    begin(true);
    push(INT64_MAX);
    push(INT64_MAX); /* a duplicate */
    push(0);
    settle(0, SEAT_VALUE);
    CHECK(!results_next(&results));
    settle(2, SEAT_VALUE);
    CHECK(number_of(results_next(&results)) == 2);
    take(results_next(&results));
    settle(1, SEAT_VALUE);
    empty_it();
    end();
}

static void changes_nothing_without_memory(void) {
    begin(true);
    allocations_left = 0;
    CHECK(!results_enter(&results, 5, 0));
    allocations_left = -1;
    CHECK(results.highest == -1 && results.inside == 0 && !results_next(&results));
    push(0);
    settle(0, SEAT_VALUE);
    empty_it();
    end();
}

int main(void) {
    takes_the_highest_index_there_is();
    changes_nothing_without_memory();
    for (uint64_t run = 1; run <= runs(300); run++) {
        gives_what_the_model_gives(run, run % 2);
    }
    return checked("results");
}
