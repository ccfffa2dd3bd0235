#include "feed.h"

#include "../caller.h"
#include "../clock.h"
#include "../door.h"
#include "../manager.h"
#include "../worker.h"
#include "message.h"

#include <inttypes.h>
#include <ruby/encoding.h>
#include <stdio.h>

/* Room for the longest topic (249 characters), a slash and a number. */
#define PLACE_SIZE 272

/* What a manager calls the Kafka partition of a message: "orders/0". */
static VALUE place_of(VALUE message) {
    char text[PLACE_SIZE];
    VALUE topic = message_topic(message);
    int length = snprintf(text, sizeof text, "%.*s/%" PRId32, (int)RSTRING_LEN(topic), RSTRING_PTR(topic),
                          message_partition(message));
    RB_GC_GUARD(topic);
    return rb_enc_interned_str(text, length < PLACE_SIZE ? length : PLACE_SIZE - 1, rb_utf8_encoding());
}

/* The last message's place, which is mostly that of the next one. */
struct place {
    VALUE topic, name;
    int32_t partition;
};

static VALUE find_place(struct place *place, VALUE message) {
    VALUE topic = message_topic(message);
    if (topic != place->topic || message_partition(message) != place->partition) {
        place->name = place_of(message);
        place->topic = topic;
        place->partition = message_partition(message);
    }
    return place->name;
}

struct feeding {
    struct manager *manager;
    struct callback sub_key;
    VALUE misplaced;
    struct place place;
    VALUE message; /* the one that is fed right now */
};

static void let_in(struct feeding *feeding, VALUE key) {
    VALUE message = feeding->message;
    /* One without a key is its own: no other is equal to it. */
    door_let_in(feeding->manager, NIL_P(key) ? message : key, message, find_place(&feeding->place, message),
                message_offset(message));
}

static VALUE ask_and_let_in(VALUE argument) {
    struct feeding *feeding = (struct feeding *)argument;
    let_in(feeding, callback_call(&feeding->sub_key, 1, &feeding->message));
    return Qnil;
}

static VALUE let_in_misplaced(VALUE argument, VALUE error) {
    struct feeding *feeding = (struct feeding *)argument;
    rb_hash_aset(feeding->misplaced, feeding->message, error);
    let_in(feeding, Qnil);
    return Qnil;
}

/*
 * call-seq: feed(messages, sub_key, misplaced)
 *
 * Enqueues an Array of Message, each on what sub_key.call(message) returns, or on its key when sub_key is nil; one for
 * which that is nil runs in no order. So does one whose sub key raised a StandardError, or cannot be a key: the error
 * goes to the Hash misplaced, by the message. Does not look at the limits: whoever took the messages did. Raises
 * ShuttingDown, and what else sub_key raises; the messages before that one are in then.
 */
static VALUE feed(VALUE self, VALUE messages, VALUE sub_key, VALUE misplaced) {
    struct feeding feeding = {.manager = manager_get(self), .misplaced = misplaced, .place = {.topic = Qundef}};
    callback_set(&feeding.sub_key, sub_key);
    Check_Type(messages, T_ARRAY);
    Check_Type(misplaced, T_HASH);
    for (long i = 0; i < RARRAY_LEN(messages); i++) {
        VALUE message = rb_ary_entry(messages, i);
        if (!message_is(message)) {
            rb_raise(rb_eTypeError, "not a WorkShaper::Message: %" PRIsVALUE, rb_inspect(message));
        }
        feeding.message = message;
        if (callback_given(&feeding.sub_key)) {
            rb_rescue2(ask_and_let_in, (VALUE)&feeding, let_in_misplaced, (VALUE)&feeding, rb_eStandardError, (VALUE)0);
        } else {
            let_in(&feeding, message_key(message));
        }
        RB_GC_GUARD(message);
    }
    RB_GC_GUARD(feeding.place.name);
    return Qnil;
}

/*
 * call-seq: max_in_flight = count
 *
 * Changes the limit from now on; more may be in flight then for a while.
 */
static VALUE set_max_in_flight(VALUE self, VALUE count) {
    manager_get(self)->scheduler.max_in_flight = NUM2UINT(count);
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
 * call-seq: idle_time
 *
 * How long the average worker has lacked work so far, in seconds.
 */
static VALUE idle_time(VALUE self) {
    return DBL2NUM((double)workers_idle_time(manager_get(self)) / (double)NANOSECONDS_PER_SECOND);
}

/*
 * call-seq: in_flight
 *
 * How many messages came in and are not acknowledged.
 */
static VALUE in_flight(VALUE self) {
    return ULL2NUM(manager_get(self)->scheduler.in_flight);
}

/*
 * call-seq: expect(milliseconds)
 *
 * The calling thread can do without the GVL for so long, but not longer: from then on workers give way to it between
 * two messages. (As long as it has the GVL no worker looks.)
 */
static VALUE expect(VALUE self, VALUE milliseconds) {
    struct manager *manager = manager_get(self);
    manager->guest.back_at = clock_milliseconds() + NUM2UINT(milliseconds);
    manager->guest.expected = true;
    return Qnil;
}

/*
 * call-seq: await_room(milliseconds, hurry)
 *
 * Waits until less than max_in_flight are in flight, or the time is over, or the manager shuts down. It expects to be
 * back by then. hurry: whether what is finished is acknowledged before the tick is over, once that is a
 * quarter of max_in_flight.
 */
static VALUE await_room(VALUE self, VALUE milliseconds, VALUE hurry) {
    struct manager *manager = manager_get(self);
    uint64_t deadline = clock_nanoseconds() + NUM2ULL(milliseconds) * NANOSECONDS_PER_MILLISECOND;
    expect(self, milliseconds);
    if (!manager->closing && scheduler_room(&manager->scheduler, NULL) != ROOM) {
        caller_wait(manager, RTEST(hurry) ? WISH_ROOM : WISH_FLIGHT, NULL, deadline);
    }
    return Qnil;
}

void init_feed(VALUE manager_class) {
    rb_define_private_method(manager_class, "feed", feed, 3);
    rb_define_private_method(manager_class, "in_flight", in_flight, 0);
    rb_define_private_method(manager_class, "max_in_flight=", set_max_in_flight, 1);
    rb_define_private_method(manager_class, "ready?", ready, 0);
    rb_define_private_method(manager_class, "idle_time", idle_time, 0);
    rb_define_private_method(manager_class, "await_room", await_room, 2);
    rb_define_private_method(manager_class, "expect", expect, 1);
}
