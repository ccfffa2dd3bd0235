#include "intake.h"

#include "message.h"
#include "offsets.h"

#include "../errors.h"
#include "../ruby/thread_probe.h"

#include <ruby/encoding.h>
#include <ruby/thread.h>
#include <stdlib.h>

/* What librdkafka is asked for at a time, when they may not weigh more than so much. */
#define CHUNK 64
#define NO_LIMIT SIZE_MAX

static void free_intake(void *data) {
    struct intake *intake = data;
    pthread_mutex_destroy(&intake->lock);
    if (intake->destruction) {
        destruction_leave(intake->destruction);
    }
    ruby_xfree(intake); /* an open queue is left alone: its client may be gone, and this is no place to ask */
}

static size_t size_of_intake(const void *data) {
    (void)data;
    return sizeof(struct intake);
}

static const rb_data_type_t intake_type = {
    .wrap_struct_name = "WorkShaper::Intake",
    .function = {.dfree = free_intake, .dsize = size_of_intake},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static VALUE allocate_intake(VALUE class) {
    struct intake *intake;
    VALUE self = TypedData_Make_Struct(class, struct intake, &intake_type, intake);
    pthread_mutex_init(&intake->lock, NULL);
    return self;
}

struct intake *intake_of(VALUE self) {
    return rb_check_typeddata(self, &intake_type);
}

struct intake *open_intake(VALUE self) {
    struct intake *intake = intake_of(self);
    if (!intake->queue) {
        rb_raise(work_shaper_error, "the intake is closed");
    }
    return intake;
}

static void *address_of_function(VALUE functions, const char *name) {
    return (void *)NUM2SIZET(rb_hash_fetch(functions, ID2SYM(rb_intern(name))));
}

/*
 * call-seq: watch(conf, functions)
 *
 * To be called before the client is made, and only once.
 *
 * conf: the address of the rd_kafka_conf_t with which it is made. functions: a Hash of the addresses of librdkafka's
 * functions, by name without rd_kafka_.
 */
static VALUE watch_client(VALUE self, VALUE conf, VALUE functions) {
    struct intake *intake = intake_of(self);
    if (intake->watch) {
        rb_raise(work_shaper_error, "the intake has a client already");
    }
#define FIND(name, result, ...) *(void **)&intake->library.name = address_of_function(functions, #name);
    LIBRDKAFKA_FUNCTIONS(FIND)
#undef FIND
    intake->watch = group_watch_new(&intake->library, (rd_kafka_conf_t *)NUM2SIZET(conf));
    if (!intake->watch) {
        rb_raise(work_shaper_error, "this client cannot be watched");
    }
    return self;
}

/*
 * call-seq: open(client)
 *
 * client: the address of the rd_kafka_t that is watched, which must stay alive until close.
 */
static VALUE open_queue(VALUE self, VALUE client) {
    struct intake *intake = intake_of(self);
    if (intake->queue) {
        rb_raise(work_shaper_error, "the intake is open already");
    }
    if (!intake->watch) {
        rb_raise(work_shaper_error, "the client is not watched");
    }
    intake->client = (rd_kafka_t *)NUM2SIZET(client);
    intake->queue = intake->library.queue_get_consumer(intake->client);
    if (!intake->queue) {
        rb_raise(work_shaper_error, "this client is not the consumer of a group");
    }
    return self;
}

/*
 * call-seq: function_names
 *
 * The names that watch needs, without rd_kafka_.
 */
static VALUE function_names(VALUE class) {
    VALUE names = rb_ary_new();
    (void)class;
#define ADD(name, result, ...) rb_ary_push(names, ID2SYM(rb_intern(#name)));
    LIBRDKAFKA_FUNCTIONS(ADD)
#undef ADD
    return names;
}

/* Taking */

struct wait {
    struct intake *intake;
    size_t count;
    size_t bytes; /* or NO_LIMIT */
    int timeout;  /* milliseconds */
    bool ran;
};

static size_t lower(size_t left, size_t right) {
    return left < right ? left : right;
}

/* How many messages to ask for: so many as probably weigh no more than what is left, but one at least. */
static size_t chunk_of(const struct wait *wait, size_t bytes_left) {
    const struct intake *intake = wait->intake;
    size_t count = wait->count - intake->length;
    if (bytes_left == NO_LIMIT) {
        return count;
    }
    size_t fitting = bytes_left / (intake->largest ? intake->largest : 1);
    return fitting > 0 ? lower(lower(count, CHUNK), fitting) : 1;
}

/* Adds messages that are there to the batch. Returns whether there may be more, and in place of `bytes_left` what is
 * left of it. (Headers are known only later.) */
static bool take_chunk(const struct wait *wait, size_t *bytes_left) {
    struct intake *intake = wait->intake;
    size_t wanted = chunk_of(wait, *bytes_left);
    rd_kafka_message_t **chunk = intake->batch + intake->length;
    ssize_t taken = intake->library.consume_batch_queue(intake->queue, 0, chunk, wanted);
    size_t count = taken > 0 ? (size_t)taken : 0;
    for (size_t i = 0; i < count && *bytes_left != NO_LIMIT; i++) {
        *bytes_left -= lower(*bytes_left, chunk[i]->err ? 0 : chunk[i]->len + chunk[i]->key_len);
    }
    intake->length += count;
    return count == wanted;
}

/* Without the GVL. Rebalances are answered in here: rdkafka's callback takes the GVL for it. */
static void *wait_for_batch(void *argument) {
    struct wait *wait = argument;
    struct intake *intake = wait->intake;
    wait->ran = true;
    size_t bytes_left = wait->bytes;
    bool more = true;
    while (more && intake->length < wait->count && bytes_left > 0) {
        more = take_chunk(wait, &bytes_left) && !atomic_load(&intake->interrupted);
    }
    if (!intake->length && wait->timeout && !atomic_load(&intake->interrupted)) { /* it would wait until it has all */
        ssize_t taken = intake->library.consume_batch_queue(intake->queue, wait->timeout, intake->batch, 1);
        intake->length = taken > 0 ? 1 : 0;
    }
    return NULL;
}

static void interrupt_intake(struct intake *intake) {
    atomic_store(&intake->interrupted, true); /* the first of two calls may be the one that yields */
    intake->library.queue_yield(intake->queue);
}

static void stop_waiting(void *argument) {
    interrupt_intake(((struct wait *)argument)->intake);
}

/* Interrupts are checked before there is a batch, never after. */
static VALUE fill_batch(VALUE argument) {
    struct wait *wait = (struct wait *)argument;
    while (!wait->ran) {
        rb_thread_check_ints();
        rb_thread_call_without_gvl2(wait_for_batch, wait, stop_waiting, wait);
    }
    return Qnil;
}

struct conversion {
    struct intake *intake;
    VALUE messages;
    VALUE failures;
    const rd_kafka_topic_t *handle; /* of the topic whose name is `topic` */
    VALUE topic;
};

static VALUE topic_of(struct conversion *conversion, const rd_kafka_message_t *native) {
    if (!native->rkt) {
        return Qnil;
    }
    if (native->rkt != conversion->handle) {
        const char *name = conversion->intake->library.topic_name(native->rkt);
        conversion->topic = rb_enc_interned_str_cstr(name, rb_utf8_encoding());
        conversion->handle = native->rkt;
    }
    return conversion->topic;
}

static VALUE failure_of(struct conversion *conversion, const rd_kafka_message_t *native) {
    VALUE text = native->payload ? rb_utf8_str_new(native->payload, (long)native->len) : Qnil;
    VALUE row[] = {INT2NUM(native->err), text, topic_of(conversion, native), INT2NUM(native->partition)};
    return rb_ary_new_from_values(sizeof row / sizeof *row, row);
}

static VALUE convert_batch(VALUE argument) {
    struct conversion *conversion = (struct conversion *)argument;
    struct intake *intake = conversion->intake;
    size_t largest = 0;
    conversion->messages = rb_ary_new_capa((long)intake->length);
    for (size_t i = 0; i < intake->length; i++) {
        const rd_kafka_message_t *native = intake->batch[i];
        if (native->err) {
            rb_ary_push(conversion->failures, failure_of(conversion, native));
        } else {
            VALUE message = message_from_native(&intake->library, native, topic_of(conversion, native));
            size_t weight = message_weight(message);
            largest = weight > largest ? weight : largest;
            rb_ary_push(conversion->messages, message);
        }
    }
    intake->largest = largest > 0 ? largest : intake->largest;
    return conversion->messages;
}

/* A message that is not destroyed would keep librdkafka from ever closing. */
static VALUE destroy_batch(VALUE argument) {
    struct intake *intake = (struct intake *)argument;
    while (intake->length) {
        intake->library.message_destroy(intake->batch[--intake->length]);
    }
    intake->taking = false;
    return Qnil;
}

/*
 * call-seq: take(count, timeout_ms, failures, bytes = nil)
 *
 * Takes up to `count` messages that are there, but no more than one batch holds, and none after those that reach so
 * many bytes (nil: no limit), as far as can be told before; when there is none, it waits for a single one. It waits
 * without the GVL, and librdkafka's callbacks run meanwhile. Thread#wakeup ends the wait.
 *
 * failures: an Array, to which [code, text, topic or nil, partition] is appended for every error that came instead of a
 * message.
 * Returns an Array of Message. Raises Error when it is closed, or when another thread is inside.
 */
static VALUE take(int argc, VALUE *argv, VALUE self) {
    VALUE count, timeout_ms, failures, bytes;
    rb_scan_args(argc, argv, "31", &count, &timeout_ms, &failures, &bytes);
    struct intake *intake = open_intake(self);
    struct wait wait = {.intake = intake,
                        .count = lower(NUM2SIZET(count), INTAKE_CAPACITY),
                        .bytes = NIL_P(bytes) ? NO_LIMIT : NUM2SIZET(bytes),
                        .timeout = NUM2INT(timeout_ms)};
    if (intake->taking) {
        rb_raise(work_shaper_error, "one thread at a time may take messages");
    }
    Check_Type(failures, T_ARRAY);
    intake->taking = true;
    atomic_store(&intake->interrupted, false);
    struct conversion conversion = {.intake = intake, .messages = Qnil, .failures = failures, .topic = Qnil};
    int state;
    rb_protect(fill_batch, (VALUE)&wait, &state);
    if (state) {
        intake->taking = false;
        rb_jump_tag(state);
    }
    VALUE messages = rb_ensure(convert_batch, (VALUE)&conversion, destroy_batch, (VALUE)intake);
    RB_GC_GUARD(self);
    return messages;
}

/*
 * call-seq: interrupt
 *
 * For librdkafka's callbacks, which run inside take: it returns next, without waiting for a message.
 */
static VALUE interrupt(VALUE self) {
    struct intake *intake = intake_of(self);
    if (intake->taking) {
        interrupt_intake(intake);
    }
    return Qnil;
}

/*
 * call-seq: close
 *
 * Lets go of librdkafka's queue, which must be done before its client is closed. Can be called again.
 */
static VALUE close_queue(VALUE self) {
    struct intake *intake = intake_of(self);
    if (intake->taking) {
        rb_raise(work_shaper_error, "a thread is taking messages");
    }
    if (intake->queue) {
        forget_prepared(intake);
        intake->library.queue_destroy(intake->queue);
        intake->queue = NULL;
    }
    return Qnil;
}

/*
 * call-seq: destroy_client
 *
 * Begins to end librdkafka's threads and to free the client, of which nobody may ask anything more. Returns whether
 * that has begun: it needs one thread.
 */
static VALUE destroy_client(VALUE self) {
    struct intake *intake = intake_of(self);
    if (intake->queue || !intake->client) {
        rb_raise(work_shaper_error, "the intake is open, or has no client");
    }
    intake->destruction = destruction_begin(&intake->library, intake->client);
    if (!intake->destruction) {
        return Qfalse;
    }
    intake->client = NULL;
    return Qtrue;
}

/*
 * call-seq: client_destroyed?
 *
 * Whether what was begun is over. For a client that never comes to its end it is not: its threads go on, and with them
 * what watches it.
 */
static VALUE client_is_destroyed(VALUE self) {
    struct intake *intake = intake_of(self);
    if (!intake->destruction || !destruction_is_over(intake->destruction)) {
        return Qfalse;
    }
    destruction_leave(intake->destruction);
    intake->destruction = NULL;
    free(intake->watch);
    intake->watch = NULL;
    return Qtrue;
}

void init_intake(VALUE work_shaper) {
    VALUE intake_class = rb_define_class_under(work_shaper, "Intake", rb_cObject);
    rb_define_alloc_func(intake_class, allocate_intake);
    rb_undef_method(intake_class, "initialize_copy");
    rb_define_singleton_method(intake_class, "function_names", function_names, 0);
    rb_define_method(intake_class, "watch", watch_client, 2);
    rb_define_method(intake_class, "open", open_queue, 1);
    rb_define_method(intake_class, "take", take, -1);
    rb_define_method(intake_class, "interrupt", interrupt, 0);
    rb_define_method(intake_class, "close", close_queue, 0);
    rb_define_method(intake_class, "destroy_client", destroy_client, 0);
    rb_define_method(intake_class, "client_destroyed?", client_is_destroyed, 0);
    init_offsets(intake_class);
    init_thread_probe(intake_class);
}
