/*
 * source - a stream reads its inputs from a Ruby object, on the thread that takes its results.
 */
#include "push.h"
#include "stage.h"
#include "stream.h"

/* Results are yielded to the block of the method, inside the source's own loop: there is no Fiber and no thread. */
struct source {
    struct stream *stream, *reader;
};

/* Returns whether there is more to read. What is raised in here is not the source's error. */
static bool feed_one(const struct source *source, VALUE input) {
    source->stream->reading = false;
    bool more = push_from_source(source->stream, input, source->reader);
    source->stream->reading = true;
    return more;
}

static struct stream *reader_of(VALUE last) {
    return rb_block_given_p() ? stream_get(last) : NULL;
}

/*
 * call-seq: feed(input, last) { |result| ... }
 *
 * Pushes an input of the source; the results, which it yields if it has a block, are those of the last stage. Returns
 * false when nothing more need be read.
 */
static VALUE feed(VALUE self, VALUE input, VALUE last) {
    struct source source = {.stream = stream_get(self), .reader = reader_of(last)};
    return feed_one(&source, input) ? Qtrue : Qfalse;
}

static VALUE feed_yielded(RB_BLOCK_CALL_FUNC_ARGLIST(input, argument)) {
    (void)blockarg;
    if (!feed_one((const struct source *)argument, argc > 1 ? rb_ary_new_from_values(argc, argv) : input)) {
        rb_iter_break();
    }
    return Qnil;
}

/*
 * call-seq: feed_each(source, last) { |result| ... }
 *
 * The same for all that source.each yields.
 */
static VALUE feed_each(VALUE self, VALUE object, VALUE last) {
    struct source source = {.stream = stream_get(self), .reader = reader_of(last)};
    source.stream->reading = true;
    rb_block_call(object, rb_intern("each"), 0, NULL, feed_yielded, (VALUE)&source);
    return Qnil;
}

/*
 * call-seq: reading?
 *
 * Whether the source has control: what it raises is its error.
 */
static VALUE reading(VALUE self) {
    return stream_get(self)->reading ? Qtrue : Qfalse;
}

/*
 * call-seq: end_with(error)
 *
 * The source ended with an error: it is raised when all that came before is taken.
 */
static VALUE end_with(VALUE self, VALUE error) {
    struct stream *stream = stream_get(self);
    if (!stream->canceled && !stream->closed) {
        push_error(stream, error);
        stage_move(stream);
    }
    return Qnil;
}

void init_source(VALUE pool_class) {
    rb_define_method(pool_class, "feed", feed, 2);
    rb_define_method(pool_class, "feed_each", feed_each, 2);
    rb_define_method(pool_class, "reading?", reading, 0);
    rb_define_method(pool_class, "end_with", end_with, 1);
}
