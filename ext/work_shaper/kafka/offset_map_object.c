#include "offset_map_object.h"

#include "../ruby/options.h"
#include "message.h"

enum state {
    UNPROVEN, /* the anchor has not come yet */
    PROVEN,   /* it has, and the log is that of which the map was made */
    REFUTED,  /* it is another one */
    PASSED    /* what comes is above all that the map knows */
};

struct offset_map_object {
    struct offset_map map;
    enum state state;
    struct offset_anchor latest; /* the last message that has come in, while the map is proven */
};

static void free_offset_map(void *data) {
    offset_map_destroy(&((struct offset_map_object *)data)->map);
    xfree(data);
}

static size_t size_of(const void *data) {
    const struct offset_map_object *object = data;
    return sizeof *object + object->map.count * sizeof *object->map.runs;
}

static const rb_data_type_t offset_map_type = {
    .wrap_struct_name = "WorkShaper::OffsetMap",
    .function = {.dfree = free_offset_map, .dsize = size_of},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static struct offset_map_object *object_of(VALUE self) {
    return rb_check_typeddata(self, &offset_map_type);
}

static const struct offset_map *map_of(VALUE self) {
    return &object_of(self)->map;
}

/* Encoding */

static int64_t check_integer(VALUE value, const char *name) {
    if (!RB_INTEGER_TYPE_P(value)) {
        rb_raise(rb_eTypeError, "%s must be an Integer, not %" PRIsVALUE, name, rb_inspect(value));
    }
    return NUM2LL(value);
}

static uint32_t check_hash(VALUE value) {
    int64_t hash = check_integer(value, "hash");
    if (hash < 0 || hash > UINT32_MAX) {
        rb_raise(rb_eArgError, "hash must be an Integer from 0 to 2**32 - 1, not %" PRIsVALUE, value);
    }
    return (uint32_t)hash;
}

/* Fills in what core/offset_map.h asks for, or raises. */
static void fill_runs(struct offset_map *map, VALUE runs) {
    int64_t unfinished = map->anchor.offset;
    if (map->base > unfinished) {
        rb_raise(rb_eArgError, "the anchor must not be below the base");
    }
    for (size_t i = 0; i < map->count; i++) {
        int64_t first = check_offset(RARRAY_AREF(runs, (long)(2 * i)), "the first offset of a run");
        int64_t last = check_offset(RARRAY_AREF(runs, (long)(2 * i + 1)), "the last offset of a run");
        if (first < unfinished + (i > 0) || last < first || last == INT64_MAX) {
            rb_raise(rb_eArgError, "runs must ascend from the anchor, each from its first to its last offset, "
                                   "and with an offset between two of them");
        }
        map->runs[i] = (struct offset_run){.first = first, .last = last};
        unfinished = last + 1;
    }
}

/*
 * call-seq: encode(base, runs, anchor_offset, timestamp, hash, limit = 4_096, leader_epoch = -1) -> String or nil
 *
 * The text to be committed beside the offset `base`, of `limit` bytes at most. Runs are pairs of offsets, all in one
 * Array: first, last, first, last ... What does not fit is cut at the far end; nil if there is nothing, or nothing
 * fits. The anchor is the first unfinished message, or a finished one, with which the first run begins then, with its
 * fingerprint (Message#fingerprint); the leader epoch is the latest of what was received. Runs no Ruby code.
 */
static VALUE encode(int argc, VALUE *argv, VALUE class) {
    VALUE base, runs, anchor, timestamp, hash, limit, leader_epoch, buffer = 0;
    rb_scan_args(argc, argv, "52", &base, &runs, &anchor, &timestamp, &hash, &limit, &leader_epoch);
    Check_Type(runs, T_ARRAY);
    if (RARRAY_LEN(runs) % 2 != 0) {
        rb_raise(rb_eArgError, "runs must be pairs of offsets");
    }
    size_t most = NIL_P(limit) ? OFFSET_MAP_LIMIT : (size_t)check_offset(limit, "limit");
    struct offset_map map = {
        .base = check_offset(base, "base"),
        .anchor = {.offset = check_offset(anchor, "the anchor's offset"),
                   .timestamp = check_integer(timestamp, "timestamp"),
                   .hash = check_hash(hash)},
        .leader_epoch = NIL_P(leader_epoch) ? -1 : NUM2INT(leader_epoch),
        .count = (size_t)RARRAY_LEN(runs) / 2,
    };
    map.runs = ALLOCV_N(struct offset_run, buffer, map.count);
    fill_runs(&map, runs);
    char text[OFFSET_MAP_LIMIT];
    size_t length = offset_map_encode(&map, text, most);
    ALLOCV_END(buffer);
    return length > 0 ? rb_usascii_str_new(text, (long)length) : Qnil;
}

/* Decoding */

/*
 * call-seq: decode(text, base) -> OffsetMap or Symbol
 *
 * Reads what was committed beside the offset `base`. A Symbol when it is no map of ours that belongs there: :foreign
 * (empty, or of somebody else), :other_version, :damaged (or made for another base). Runs no Ruby code.
 */
static VALUE decode(VALUE class, VALUE text, VALUE base) {
    Check_Type(text, T_STRING);
    int64_t offset = check_offset(base, "base");
    struct offset_map_object *object;
    VALUE self = TypedData_Make_Struct(class, struct offset_map_object, &offset_map_type, object);
    enum offset_map_status status =
        offset_map_decode(&object->map, RSTRING_PTR(text), (size_t)RSTRING_LEN(text), offset);
    RB_GC_GUARD(text);
    switch (status) {
    case OFFSET_MAP_OK:
        return self;
    case OFFSET_MAP_FOREIGN:
        return ID2SYM(rb_intern("foreign"));
    case OFFSET_MAP_OTHER_VERSION:
        return ID2SYM(rb_intern("other_version"));
    case OFFSET_MAP_DAMAGED:
        return ID2SYM(rb_intern("damaged"));
    case OFFSET_MAP_NO_MEMORY:
        break;
    }
    rb_memerror();
}

/* Using it */

static bool is_anchor(const struct offset_anchor *anchor, VALUE message) {
    int64_t timestamp;
    return message_offset(message) == anchor->offset && message_fingerprint(message, &timestamp) == anchor->hash &&
           timestamp == anchor->timestamp;
}

/* Whether the message was written after the map was made: at its offset another one was lost, with those behind it.
 * Within a log leader epochs only grow, and no two leaders have the same. */
static bool is_later(const struct offset_map *map, VALUE message) {
    return map->leader_epoch >= 0 && message_leader_epoch(message) > map->leader_epoch;
}

static enum state next_state(const struct offset_map_object *object, VALUE message) {
    const struct offset_map *map = &object->map;
    int64_t offset = message_offset(message);
    if (object->state == UNPROVEN && offset >= map->anchor.offset) {
        return is_anchor(&map->anchor, message) && !is_later(map, message) ? PROVEN : REFUTED;
    }
    if (object->state == PROVEN && offset > offset_map_last(map)) {
        return PASSED;
    }
    return object->state == PROVEN && is_later(map, message) ? REFUTED : object->state;
}

bool offset_map_passes(VALUE self, VALUE message) {
    struct offset_map_object *object = object_of(self);
    object->state = next_state(object, message);
    return object->state == PROVEN && offset_map_finished(&object->map, message_offset(message));
}

void offset_map_came(VALUE map, VALUE message) {
    struct offset_map_object *object = object_of(map);
    if (object->state == PROVEN) {
        object->latest.offset = message_offset(message);
        object->latest.hash = message_fingerprint(message, &object->latest.timestamp);
    }
}

const struct offset_anchor *offset_map_latest(VALUE map) {
    return &object_of(map)->latest;
}

const struct offset_map *offset_map_proven(VALUE map) {
    const struct offset_map_object *object = NIL_P(map) ? NULL : object_of(map);
    return object && object->state == PROVEN ? &object->map : NULL;
}

/*
 * Whether it is of no more use: all that it knows has come, or it is refuted.
 */
static VALUE over(VALUE self) {
    enum state state = object_of(self)->state;
    return state == REFUTED || state == PASSED ? Qtrue : Qfalse;
}

/*
 * Whether the message that came where the anchor was is another one, or one behind it was written later: the log is not
 * that of which the map was made.
 */
static VALUE refuted(VALUE self) {
    return object_of(self)->state == REFUTED ? Qtrue : Qfalse;
}

/*
 * call-seq: finished?(offset) -> true or false
 *
 * Whether the offset was finished.
 */
static VALUE finished(VALUE self, VALUE offset) {
    return offset_map_finished(map_of(self), check_offset(offset, "offset")) ? Qtrue : Qfalse;
}

/*
 * The highest finished offset.
 */
static VALUE last(VALUE self) {
    return LL2NUM(offset_map_last(map_of(self)));
}

/*
 * How many offsets are finished.
 */
static VALUE count(VALUE self) {
    return ULL2NUM(offset_map_total(map_of(self)));
}

/*
 * call-seq: anchor -> [offset, timestamp, hash]
 *
 * The first unfinished message, which is what the next owner receives first, if it is the same log; or the last of
 * those that had come in, when all were finished: then the first run begins there.
 */
static VALUE anchor(VALUE self) {
    const struct offset_anchor *anchor = &map_of(self)->anchor;
    return rb_ary_new_from_args(3, LL2NUM(anchor->offset), LL2NUM(anchor->timestamp), UINT2NUM(anchor->hash));
}

/*
 * The latest leader epoch of what was received when the map was made; -1: not known.
 */
static VALUE leader_epoch(VALUE self) {
    return INT2NUM(map_of(self)->leader_epoch);
}

/*
 * All runs, as encode takes them.
 */
static VALUE runs(VALUE self) {
    const struct offset_map *map = map_of(self);
    VALUE all = rb_ary_new_capa((long)(2 * map->count));
    for (size_t i = 0; i < map->count; i++) {
        rb_ary_push(all, LL2NUM(map->runs[i].first));
        rb_ary_push(all, LL2NUM(map->runs[i].last));
    }
    return all;
}

/*
 * Document-class: WorkShaper::OffsetMap
 *
 * What is finished beyond a committed offset, as it is committed beside it.
 */

void init_offset_map(VALUE work_shaper) {
    VALUE offset_map_class = rb_define_class_under(work_shaper, "OffsetMap", rb_cObject);
    rb_undef_alloc_func(offset_map_class);
    rb_undef_method(rb_singleton_class(offset_map_class), "new");
    rb_define_singleton_method(offset_map_class, "encode", encode, -1);
    rb_define_singleton_method(offset_map_class, "decode", decode, 2);
    rb_define_method(offset_map_class, "over?", over, 0);
    rb_define_method(offset_map_class, "refuted?", refuted, 0);
    rb_define_method(offset_map_class, "finished?", finished, 1);
    rb_define_method(offset_map_class, "last", last, 0);
    rb_define_method(offset_map_class, "count", count, 0);
    rb_define_method(offset_map_class, "anchor", anchor, 0);
    rb_define_method(offset_map_class, "leader_epoch", leader_epoch, 0);
    rb_define_method(offset_map_class, "runs", runs, 0);
}
