#include "stage.h"

#include "../errors.h"
#include "push.h"
#include "take.h"

struct stream *first_stage(struct stream *stream) {
    for (struct stream *previous; (previous = previous_stage(stream));) {
        stream = previous;
    }
    return stream;
}

/* Whether there is something to move: a result and room for it, or the end. */
static bool movable(const struct stream *from, const struct stream *to) {
    if (from->canceled || to->canceled || to->closed) {
        return false;
    }
    return results_next(&from->results) ? stream_room(to) : from->closed && !from->results.inside;
}

static void move_one(struct stream *from, struct stream *to) {
    VALUE value;
    switch (take_one(from, &value)) {
    case TAKE_RESULT:
        push_result(to, value);
        break;
    case TAKE_ERROR:
        push_error(to, value);
        break;
    case TAKE_END:
        to->closed = true;
        stream_changed(to);
        break;
    case TAKE_NOTHING:
        break;
    }
    RB_GC_GUARD(value);
}

static VALUE move_all(VALUE argument) {
    struct stream *from = (struct stream *)argument, *to = next_stage(from);
    do {
        from->moves_again = false;
        while (movable(from, to)) {
            move_one(from, to);
        }
    } while (from->moves_again);
    return Qnil;
}

static VALUE moved(VALUE argument) {
    ((struct stream *)argument)->moving = false;
    return Qnil;
}

/* One thread moves at a time, so that nothing overtakes; who comes meanwhile leaves it to that one. */
static bool move_later(struct stream *stream) {
    stream->moves_again = stream->moving;
    return stream->moving;
}

/* Returns whether something was moved. */
static bool move_if_movable(struct stream *stream, const struct stream *to) {
    if (!movable(stream, to) || move_later(stream)) {
        return false;
    }
    stream->moving = true;
    rb_ensure(move_all, (VALUE)stream, moved, (VALUE)stream);
    stream_changed(stream); /* it has room */
    return true;
}

/* What is moved may be moved on, and makes room for what the stage before has. */
void stage_move(struct stream *stream) {
    bool again = true;
    while (again) {
        again = false;
        struct stream *from = first_stage(stream);
        for (struct stream *to; (to = next_stage(from)); from = to) {
            again = move_if_movable(from, to) || again;
        }
    }
}

/*
 * call-seq: link(pool)
 *
 * What comes out of here goes into another pool, which nobody else pushes to.
 */
static VALUE link_stage(VALUE self, VALUE pool) {
    struct stream *from = stream_get(self), *to = stream_get(pool);
    if (!NIL_P(from->next_stage) && !manager_of(from->next_stage)->roster.closing) {
        rb_raise(work_shaper_error, "the stream has a stage already, which takes its results");
    }
    RB_OBJ_WRITE(self, &from->next_stage, pool);
    RB_OBJ_WRITE(pool, &to->previous_stage, self);
    if (from->canceled) {
        stream_cancel(to, from->error); /* which came before the stage did */
    }
    return Qnil;
}

void init_stage(VALUE pool_class) {
    rb_define_method(pool_class, "link", link_stage, 1);
}
