#include "check.h"
#include "core/list.h"

#include <string.h>

#define MOST 20
#define LISTS 3

struct member {
    char before;
    struct list link;
    int list; /* which one the model has it in; -1: none */
};

/* The naive model: for each list an array of indices. */
static struct member members[MOST];
static struct list lists[LISTS];
static int model[LISTS][MOST], length[LISTS];

static void begin(void) {
    for (int i = 0; i < LISTS; i++) {
        list_init(&lists[i]);
        length[i] = 0;
    }
    for (int i = 0; i < MOST; i++) {
        list_init(&members[i].link);
        members[i].list = -1;
    }
}

static void insert(int list, int position, int index) {
    memmove(&model[list][position + 1], &model[list][position], (size_t)(length[list] - position) * sizeof(int));
    model[list][position] = index;
    length[list]++;
    members[index].list = list;
}

static void take_out(int index) {
    int list = members[index].list, position = 0;
    if (list < 0) {
        return;
    }
    while (model[list][position] != index) {
        position++;
    }
    length[list]--;
    memmove(&model[list][position], &model[list][position + 1], (size_t)(length[list] - position) * sizeof(int));
    members[index].list = -1;
}

static int index_of(const struct list *link) {
    return (int)(LIST_ENTRY(link, struct member, link) - members);
}

static void check(void) {
    for (int i = 0; i < LISTS; i++) {
        int position = 0;
        const struct list *link;
        list_each(link, &lists[i]) {
            CHECK(position < length[i] && index_of(link) == model[i][position]);
            CHECK(link->next->previous == link && link->previous->next == link);
            position++;
        }
        CHECK(position == length[i]);
        CHECK(list_empty(&lists[i]) == (length[i] == 0));
        CHECK(length[i] ? index_of(list_first(&lists[i])) == model[i][0] : !list_first(&lists[i]));
    }
    for (int i = 0; i < MOST; i++) {
        CHECK(list_empty(&members[i].link) == (members[i].list < 0));
    }
}

static void splice(int to, int from) {
    while (length[from]) {
        int index = model[from][0];
        take_out(index);
        insert(to, length[to], index);
    }
    list_splice(&lists[to], &lists[from]);
}

static void keeps_the_order_whatever_happens(uint64_t run) {
    random_seed(run);
    begin();
    for (int step = 0; step < 500; step++) {
        int list = (int)random_below(LISTS), index = (int)random_below(MOST);
        uint32_t action = random_below(20);
        if (action < 10 && members[index].list < 0) {
            bool prepend = action < 3;
            insert(list, prepend ? 0 : length[list], index);
            (prepend ? list_prepend : list_append)(&lists[list], &members[index].link);
        } else if (action < 18) { /* of one that is in no list, too */
            take_out(index);
            list_remove(&members[index].link);
        } else {
            splice(list, (list + 1) % LISTS);
        }
        check();
    }
}

int main(void) {
    for (uint64_t run = 1; run <= runs(500); run++) {
        keeps_the_order_whatever_happens(run);
    }
    return checked("list");
}
