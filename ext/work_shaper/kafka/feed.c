#include "feed.h"

#include "../manager/enqueue.h"
#include "../manager/manager.h"
#include "../manager/supervisor.h"
#include "../ruby/clock.h"
#include "../ruby/memory.h"
#include "checkpoint.h"
#include "load.h"
#include "message.h"
#include "offset_map_object.h"

#include <inttypes.h>
#include <ruby/encoding.h>
#include <stdio.h>

/* How long finding sub keys may keep the caller from polling. */
#define LONGEST_FEED (100 * NANOSECONDS_PER_MILLISECOND)

/* Room for the longest topic (249 characters), a slash and a number. */
#define NAME_SIZE 272

/* What a manager calls the Kafka partition of a message: "orders/0". */
static VALUE partition_name(VALUE message) {
    char text[NAME_SIZE];
    VALUE topic = message_topic(message);
    int length = snprintf(text, sizeof text, "%.*s/%" PRId32, (int)RSTRING_LEN(topic), RSTRING_PTR(topic),
                          message_partition(message));
    RB_GC_GUARD(topic);
    return rb_enc_interned_str(text, length < NAME_SIZE ? length : NAME_SIZE - 1, rb_utf8_encoding());
}

static VALUE topic_of_name(VALUE name) {
    long length = RSTRING_LEN(name);
    while (length > 0 && RSTRING_PTR(name)[--length] != '/') {
    }
    return rb_str_freeze(rb_utf8_str_new(RSTRING_PTR(name), length));
}

/* The last message's partition, which is usually that of the next one, too. */
struct named {
    VALUE topic, name;
    int32_t partition;
};

static VALUE find_name(struct named *named, VALUE message) {
    VALUE topic = message_topic(message);
    if (topic != named->topic || message_partition(message) != named->partition) {
        named->name = partition_name(message);
        named->topic = topic;
        named->partition = message_partition(message);
    }
    return named->name;
}

struct feeding {
    struct manager *manager;
    struct callback sub_key;
    VALUE sub_key_errors;
    VALUE maps, begins;
    struct named named;
    int64_t highest;      /* the highest offset that has come in of the named partition, or goes before its first */
    int32_t leader_epoch; /* the latest of what has come in of it, or -1 */
    VALUE map;            /* of the named partition, or nil */
    VALUE message;        /* the one that is fed right now */
};

/* The offset before the one with which the named partition was to begin, or OFFSET_NONE. */
static int64_t before_begin(const struct feeding *feeding) {
    VALUE begin = rb_hash_lookup(feeding->begins, feeding->named.name);
    return NIL_P(begin) ? OFFSET_NONE : NUM2LL(begin) - 1;
}

/* Whether the message's offset is not above all that came in of its partition, or below where that was to begin. */
static bool goes_back(struct feeding *feeding) {
    VALUE before = feeding->named.name;
    VALUE name = find_name(&feeding->named, feeding->message);
    if (name != before) {
        const struct partition *partition = registry_partition(feeding->manager, name);
        feeding->highest = partition ? partition->tracker.highest : before_begin(feeding);
        feeding->leader_epoch = partition ? partition->leader_epoch : -1;
        feeding->map = rb_hash_lookup(feeding->maps, name);
    }
    return message_offset(feeding->message) <= feeding->highest;
}

/* The message has come in. */
static void note(struct feeding *feeding) {
    feeding->highest = message_offset(feeding->message);
    int32_t epoch = message_leader_epoch(feeding->message);
    if (epoch > feeding->leader_epoch) {
        registry_partition(feeding->manager, feeding->named.name)->leader_epoch = feeding->leader_epoch = epoch;
    }
    if (!NIL_P(feeding->map)) {
        offset_map_came(feeding->map, feeding->message);
    }
}

/* Lets a message pass that was finished in an earlier assignment: it is only acknowledged. Returns whether it was. */
static bool pass(struct feeding *feeding) {
    struct manager *manager = feeding->manager;
    if (NIL_P(feeding->map) || !offset_map_passes(feeding->map, feeding->message) || manager->roster.closing) {
        return false;
    }
    /* It may be the first message of the partition (decision 079). */
    struct partition *partition = registry_make_partition(manager, feeding->named.name);
    int64_t offset = message_offset(feeding->message);
    if (!scheduler_offer_finished(&manager->scheduler, &partition->tracker, offset)) {
        return false;
    }
    note(feeding);
    supervise(manager);
    return true;
}

static void let_in(struct feeding *feeding, VALUE key) {
    VALUE message = feeding->message;
    /* A message without a sub key is its own: no other is equal to it. */
    manager_enqueue(feeding->manager, NIL_P(key) ? message : key, message, feeding->named.name,
                    message_offset(message));
    note(feeding);
}

static VALUE ask_and_let_in(VALUE argument) {
    struct feeding *feeding = (struct feeding *)argument;
    let_in(feeding, callback_call(&feeding->sub_key, 1, &feeding->message));
    return Qnil;
}

static VALUE let_in_with_error(VALUE argument, VALUE error) {
    struct feeding *feeding = (struct feeding *)argument;
    if (exception_fatal(error)) {
        rb_exc_raise(error);
    }
    rb_hash_aset(feeding->sub_key_errors, feeding->message, error);
    let_in(feeding, Qnil);
    return Qnil;
}

/*
 * call-seq: feed(messages, sub_key, sub_key_errors, maps, begins)
 *
 * Enqueues an Array of Message, each on what sub_key.call(message) returns, or on its key when sub_key is nil; a
 * message for which that is nil runs in no particular order. So does one for which sub_key raised or
 * returned what cannot be a Hash key: the error goes into the Hash sub_key_errors, under the message. Does not check
 * the limits: the caller did so before it took the messages. Raises ShuttingDown, and what else sub_key raises; the
 * messages before that one have been enqueued then.
 *
 * A message that was finished in an earlier assignment, as one of `maps` says (a Hash of OffsetMap by partition), is
 * acknowledged unseen.
 *
 * Returns how many it enqueued: 0 when the offset of the first one is not above all that came in of its partition, or
 * below where that was to begin, as `begins` says (a Hash of offsets by partition).
 * Fewer than there are when that is so of the next one, or when sub_key has taken so long that the caller should poll
 * first.
 */
static VALUE feed(VALUE self, VALUE messages, VALUE sub_key, VALUE sub_key_errors, VALUE maps, VALUE begins) {
    struct feeding feeding = {.manager = manager_get(self),
                              .sub_key_errors = sub_key_errors,
                              .maps = maps,
                              .begins = begins,
                              .named = {.topic = Qundef, .name = Qundef},
                              .map = Qnil};
    callback_set(&feeding.sub_key, sub_key);
    Check_Type(messages, T_ARRAY);
    Check_Type(sub_key_errors, T_HASH);
    Check_Type(maps, T_HASH);
    Check_Type(begins, T_HASH);
    uint64_t limit = clock_nanoseconds() + LONGEST_FEED;
    long i = 0;
    for (; i < RARRAY_LEN(messages); i++) {
        if (i && callback_given(&feeding.sub_key) && clock_nanoseconds() >= limit) {
            break;
        }
        VALUE message = rb_ary_entry(messages, i);
        if (!message_is(message)) {
            rb_raise(rb_eTypeError, "not a WorkShaper::Message: %" PRIsVALUE, rb_inspect(message));
        }
        feeding.message = message;
        if (goes_back(&feeding)) {
            break;
        }
        if (pass(&feeding)) {
            continue;
        }
        if (callback_given(&feeding.sub_key)) {
            rb_rescue2(ask_and_let_in, (VALUE)&feeding, let_in_with_error, (VALUE)&feeding, rb_eException, (VALUE)0);
        } else {
            let_in(&feeding, message_key(message));
        }
        RB_GC_GUARD(message);
    }
    RB_GC_GUARD(feeding.named.name);
    return LONG2NUM(i);
}

/*
 * call-seq: max_in_flight = count
 *
 * Changes the limit from now on; for a while, more may be unfinished.
 */
static VALUE set_max_in_flight(VALUE self, VALUE count) {
    struct manager *manager = manager_get(self);
    manager->scheduler.max_in_flight = NUM2UINT(count);
    room_look(manager);
    waiters_look(manager);
    return count;
}

/*
 * call-seq: max_bytes = count
 *
 * From now on messages are weighed, and there is no room while what is unfinished weighs so much. To be called before
 * anything comes in; then it can be changed.
 */
static VALUE set_max_bytes(VALUE self, VALUE count) {
    struct manager *manager = manager_get(self);
    uint64_t most = NUM2ULL(count);
    if (manager->weight.of) {
        manager->weight.most = most;
        waiters_look(manager);
    } else {
        weight_begin(manager, message_weight, most);
        manager->topic_of = topic_of_name;
    }
    return count;
}

/*
 * call-seq: ready?
 *
 * Whether something may start that no worker has taken yet.
 */
static VALUE ready(VALUE self) {
    return scheduler_ready(&manager_get(self)->scheduler) ? Qtrue : Qfalse;
}

/*
 * call-seq: lacks_probe?
 *
 * Whether work is held, a probe may start, and there is nothing that could be one.
 */
static VALUE lacks_probe(VALUE self) {
    const struct scheduler *scheduler = &manager_get(self)->scheduler;
    return scheduler->held && scheduler->probe_due && !scheduler->ready ? Qtrue : Qfalse;
}

/*
 * call-seq: calm(most)
 *
 * For how many milliseconds, at most so many, nothing runs or starts unless something comes in.
 */
static VALUE calm(VALUE self, VALUE most) {
    const struct scheduler *scheduler = &manager_get(self)->scheduler;
    if (scheduler->running || scheduler_ready(scheduler)) {
        return INT2FIX(0);
    }
    uint64_t now = clock_nanoseconds();
    uint64_t next = scheduler_next_time(scheduler);
    uint64_t milliseconds = next > now ? (next - now) / NANOSECONDS_PER_MILLISECOND : 0;
    return milliseconds < NUM2UINT(most) ? ULL2NUM(milliseconds) : most;
}

/*
 * call-seq: idle_time
 *
 * How long the average worker has lacked work so far, in seconds.
 */
static VALUE idle_time(VALUE self) {
    return DBL2NUM((double)fairness_idle_time(manager_get(self)) / (double)NANOSECONDS_PER_SECOND);
}

/*
 * call-seq: trim_memory
 *
 * Gives back to the system what the C library holds free, of the whole process.
 */
static VALUE trim_memory(VALUE self) {
    memory_trim();
    return Qnil;
}

/*
 * call-seq: expect(milliseconds)
 *
 * The calling thread can do without the GVL for so long, but no longer: from then on workers give way to it between two
 * messages. (While it has the GVL, no worker looks.)
 */
static VALUE expect(VALUE self, VALUE milliseconds) {
    fairness_expect(manager_get(self), NUM2UINT(milliseconds));
    return Qnil;
}

static bool full(const struct manager *manager) {
    return scheduler_unfinished(&manager->scheduler) >= manager->scheduler.max_in_flight ||
           weight_full(&manager->weight);
}

static bool has_room(const struct waiter *waiter) {
    return waiter->manager->roster.closing || !full(waiter->manager);
}

/*
 * call-seq: await_room(milliseconds)
 *
 * Waits until there is room, also in bytes, or the time is over, or the manager shuts down. Work wakes the caller for
 * no less than a quarter of max_in_flight, unless nothing is left to be taken. The calling thread expects the GVL back
 * by then.
 */
static VALUE await_room(VALUE self, VALUE milliseconds) {
    struct manager *manager = manager_get(self);
    uint64_t deadline = clock_nanoseconds() + NUM2ULL(milliseconds) * NANOSECONDS_PER_MILLISECOND;
    struct waiter waiter = {
        .manager = manager, .over = has_room, .counted = &manager->roster.room_awaited, .deadline = deadline};
    fairness_expect(manager, NUM2UINT(milliseconds));
    wait_until_over(&waiter, sizeof waiter);
    return Qnil;
}

void init_feed(VALUE work_shaper) {
    VALUE feeding = rb_define_module_under(work_shaper, "Feeding");
    rb_define_private_method(feeding, "feed", feed, 5);
    rb_define_method(feeding, "max_bytes=", set_max_bytes, 1);
    rb_define_method(feeding, "max_in_flight=", set_max_in_flight, 1);
    rb_define_method(feeding, "ready?", ready, 0);
    rb_define_method(feeding, "lacks_probe?", lacks_probe, 0);
    rb_define_method(feeding, "calm", calm, 1);
    rb_define_method(feeding, "idle_time", idle_time, 0);
    rb_define_method(feeding, "await_room", await_room, 1);
    rb_define_method(feeding, "trim_memory", trim_memory, 0);
    rb_define_method(feeding, "expect", expect, 1);
    init_load(feeding);
    init_checkpoint(feeding);
}
