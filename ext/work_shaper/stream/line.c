#include "line.h"

#include "../ruby/clock.h"
#include "../ruby/parker.h"
#include "../ruby/process.h"

/* Wake-ups can be lost (see parker.h). */
#define LONGEST_NAP NANOSECONDS_PER_SECOND

struct turn {
    struct list link;  /* in the line, until it goes or leaves */
    struct line *line; /* alive while the owner is, or the link is in it */
    VALUE owner;
    struct parker parker;
    uint64_t deadline;
    uint64_t position; /* how many are wanted before it, counted from anywhere */
    uint32_t count;
    bool taken; /* they may start */
    bool told;  /* and whoever wants them knows */
};

static struct turn *turn_at(const struct list *link) {
    return LIST_ENTRY(link, struct turn, link);
}

/* Those who stand in it */

void line_init(struct line *line) {
    *line = (struct line){.generation = process_generation()};
    list_init(&line->turns);
}

void line_clear(struct line *line) {
    struct list *link;
    while ((link = list_first(&line->turns))) {
        list_remove(link);
    }
}

/* Those who waited when the process forked are not there any more. */
static void look_for_fork(struct line *line) {
    if (line->generation != process_generation()) {
        line->generation = process_generation();
        line_clear(line);
    }
}

void line_wake(struct line *line) {
    const struct list *link;
    look_for_fork(line);
    list_each(link, &line->turns) {
        parker_unpark(&turn_at(link)->parker);
    }
}

/* The position of whoever comes next. */
static uint64_t end_of(const struct line *line) {
    if (list_empty(&line->turns)) {
        return 0;
    }
    const struct turn *last = turn_at(line->turns.previous);
    return last->position + last->count;
}

/* When so many may start that stand at a position, if no stream comes. */
static uint64_t time_of(const struct line *line, uint64_t position, uint32_t count) {
    const struct list *first = list_first(&line->turns);
    return gcra_at(&line->gcra, first ? position - turn_at(first)->position : 0, count);
}

static void enter(struct turn *turn) {
    turn->position = end_of(turn->line);
    list_append(&turn->line->turns, &turn->link);
}

/* Those behind it move up. */
static void leave(struct turn *turn) {
    const struct list *link;
    for (link = turn->link.next; link != &turn->line->turns; link = link->next) {
        turn_at(link)->position -= turn->count;
    }
    list_remove(&turn->link);
}

/* Lets those go whose time has come. */
static void let_go(struct line *line, uint64_t now) {
    struct list *link;
    while ((link = list_first(&line->turns))) {
        struct turn *turn = turn_at(link);
        if (gcra_at(&line->gcra, 0, turn->count) > now) {
            return;
        }
        gcra_take(&line->gcra, now, turn->count, true);
        line->is_next = false;
        list_remove(link);
        turn->taken = true;
        parker_unpark(&turn->parker);
    }
}

uint64_t line_take(struct line *line, uint64_t now) {
    look_for_fork(line);
    if (line->is_next) {
        let_go(line, now);
    }
    const struct list *first = list_first(&line->turns);
    uint64_t at = gcra_at(&line->gcra, 0, first && line->is_next ? turn_at(first)->count : 1);
    if (at <= now) {
        gcra_take(&line->gcra, now, 1, line->stream_waits);
        line->is_next = first != NULL;
    }
    line->stream_waits = at > now;
    return at;
}

/* Waiting */

static void mark_turn(void *data) {
    const struct turn *turn = data;
    rb_gc_mark(turn->owner);
}

/* Only a Fiber that was dropped inside its wait is still in the line here. */
static void free_turn(void *data) {
    struct turn *turn = data;
    if (!list_empty(&turn->link)) {
        leave(turn);
    }
    xfree(turn);
}

static const rb_data_type_t turn_type = {
    .wrap_struct_name = "WorkShaper::Turn",
    .function = {.dmark = mark_turn, .dfree = free_turn},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static VALUE wait_for_turn(VALUE holder) {
    struct turn *turn = RTYPEDDATA_DATA(holder);
    for (;;) {
        uint64_t now = clock_nanoseconds();
        look_for_fork(turn->line);
        if (!turn->taken && list_empty(&turn->link)) { /* it has just come, or a trap handler has forked in its sleep */
            enter(turn);
        }
        let_go(turn->line, now);
        if (turn->taken) {
            turn->told = true;
            return Qtrue;
        }
        uint64_t at = time_of(turn->line, turn->position, turn->count);
        if (at > turn->deadline) {
            return Qfalse;
        }
        parker_park(&turn->parker, at - now < LONGEST_NAP ? at : now + LONGEST_NAP);
    }
}

/* However its wait ended: who has not been told has taken nothing. */
static VALUE end_turn(VALUE holder) {
    struct turn *turn = RTYPEDDATA_DATA(holder);
    if (turn->told) {
        return Qnil;
    }
    if (turn->taken) {
        gcra_give_back(&turn->line->gcra, turn->count);
    } else if (!list_empty(&turn->link)) {
        leave(turn);
    }
    line_wake(turn->line);
    return Qnil;
}

static bool stand_in_line(struct line *line, VALUE owner, uint32_t count, uint64_t deadline) {
    struct turn *turn;
    VALUE holder = TypedData_Make_Struct(0, struct turn, &turn_type, turn); /* hidden: no Ruby code ever sees it */
    list_init(&turn->link);
    parker_init(&turn->parker);
    RB_OBJ_WRITE(holder, &turn->owner, owner);
    turn->line = line;
    turn->deadline = deadline;
    turn->count = count;
    VALUE taken = rb_ensure(wait_for_turn, holder, end_turn, holder);
    RB_GC_GUARD(holder);
    return RTEST(taken);
}

bool line_acquire(struct line *line, VALUE owner, uint32_t count, uint64_t deadline) {
    uint64_t now = clock_nanoseconds();
    look_for_fork(line);
    let_go(line, now);
    uint64_t at = time_of(line, end_of(line), count);
    if (at <= now) {
        gcra_take(&line->gcra, now, count, false);
        return true;
    }
    return at <= deadline && stand_in_line(line, owner, count, deadline);
}
