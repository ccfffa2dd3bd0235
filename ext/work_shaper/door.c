#include "door.h"

#include "acknowledger.h"
#include "caller.h"
#include "clock.h"
#include "options.h"
#include "registry.h"
#include "worker.h"

struct entry {
    VALUE message;
    int64_t offset;
    struct address address;
};

static int64_t check_offset(VALUE offset) {
    if (RB_FIXNUM_P(offset) && FIX2LONG(offset) >= 0) {
        return FIX2LONG(offset);
    }
    if (!RB_INTEGER_TYPE_P(offset)) {
        rb_raise(rb_eTypeError, "offset must be an Integer from 0 to 2**63 - 1, not %" PRIsVALUE, rb_inspect(offset));
    }
    int64_t value;
    int sign = rb_integer_pack(offset, &value, 1, sizeof value, 0, INTEGER_PACK_NATIVE_BYTE_ORDER | INTEGER_PACK_2COMP);
    if (sign < 0 || sign > 1 || value < 0) {
        rb_raise(rb_eArgError, "offset must be an Integer from 0 to 2**63 - 1, not %" PRIsVALUE, rb_inspect(offset));
    }
    return value;
}

/* Raises when the manager does not take messages any more. After every call that may have run Ruby code. */
static void check_open(const struct manager *manager) {
    if (manager_forked(manager)) {
        manager_get(manager->self); /* raises */
    }
    if (manager->closing) {
        rb_raise(work_shaper_shutting_down, "the manager is shutting down and takes no more work%s",
                 NIL_P(manager->fatal.place) ? "" : ": see stats[:fatal]");
    }
}

/* Whether the entry, once in, would wait for a worker that has still to be started. */
static bool lacks_threads(const struct manager *manager, const struct sub_key *sub_key) {
    bool queue_busy = sub_key && (sub_key->queue.waiting || sub_key->queue.running);
    return manager->acknowledger.state == ACKNOWLEDGER_GONE || (!queue_busy && worker_wanted(manager));
}

static void start_threads(struct manager *manager) {
    acknowledger_start(manager);
    worker_start(manager);
}

static const struct sub_key_queue *queue_of(const struct sub_key *sub_key) {
    return sub_key ? &sub_key->queue : NULL;
}

/*
 * Looks the address up until it is valid with nothing left to do but to go in: no Ruby code runs between the last look
 * and the return. Returns whether there is room.
 */
static bool find_way_in(struct manager *manager, struct address *address) {
    registry_look_up(manager, address);
    check_open(manager);
    if (lacks_threads(manager, address->sub_key)) {
        start_threads(manager); /* before anything is changed: it may raise */
        registry_look_up(manager, address);
        check_open(manager);
    }
    return scheduler_room(&manager->scheduler, queue_of(address->sub_key)) == ROOM;
}

static void go_in(struct manager *manager, struct entry *entry) {
    struct address *address = &entry->address;
    registry_fill(manager, address);
    if (!scheduler_offer(&manager->scheduler, &address->sub_key->queue, &address->partition->tracker,
                         (uintptr_t)entry->message, entry->offset, clock_milliseconds())) {
        registry_release_sub_key(manager, address->sub_key);
        rb_memerror();
    }
    RB_OBJ_WRITTEN(manager->self, Qundef, entry->message);
    if (!manager->workers_coming && scheduler_ready(&manager->scheduler)) {
        workers_wake_one(manager);
    }
}

static const char *full_message(enum room room) {
    return room == SUB_KEY_FULL ? "max_in_queue messages wait on this sub key" : "max_in_flight messages are in flight";
}

/* Waits until there may be room. Raises Full after the deadline, or at once where waiting could be for oneself. */
static void wait_for_room(struct manager *manager, struct address *address, uint64_t deadline) {
    enum room room = scheduler_room(&manager->scheduler, queue_of(address->sub_key));
    if (deadline == NEVER && manager_inside_callback(manager)) {
        rb_raise(work_shaper_full, "%s, and inside a callback it could wait for itself: give a timeout",
                 full_message(room));
    }
    if (clock_nanoseconds() >= deadline) {
        rb_raise(work_shaper_full, "%s, and the timeout is over", full_message(room));
    }
    registry_fill_sub_key(manager, address); /* it lives as long as someone waits for it */
    caller_wait(manager, WISH_ROOM, &address->sub_key->queue, deadline);
}

void door_let_in(struct manager *manager, VALUE sub_key, VALUE message, VALUE partition, int64_t offset) {
    struct entry entry = {.message = message, .offset = offset, .address = address_of(sub_key, partition)};
    find_way_in(manager, &entry.address);
    go_in(manager, &entry);
}

static struct entry check_entry(VALUE sub_key, VALUE message, VALUE partition, VALUE offset) {
    return (struct entry){
        .message = message, .offset = check_offset(offset), .address = address_of(sub_key, partition)};
}

/*
 * Enqueues a message. It runs after everything enqueued before it on the same sub key, and beside other sub keys.
 *
 * It blocks while `max_in_queue` messages wait on this sub key or `max_in_flight` are in flight. Inside a callback of
 * the same manager it does not wait, unless a timeout is given, for it could wait for itself: it raises Full at once.
 *
 * @overload enqueue(sub_key, message, partition, offset, timeout: nil)
 *   @param sub_key [Object] anything that can be a Hash key, nil included; Strings are equal when their bytes are
 *   @param message [Object] anything; handed to the callbacks
 *   @param partition [Object] anything that can be a Hash key
 *   @param offset [Integer] from 0 to 2**63 - 1
 *   @param timeout [Numeric, nil] seconds to wait for room at most; nil: no limit
 *   @return [true]
 *   @raise [Full] the timeout passed, or it was full inside a callback
 *   @raise [ShuttingDown] the manager takes no more work
 *   @raise [ForkedProcess] the manager belongs to the parent process
 *   @raise [TypeError, ArgumentError] the offset or the timeout is none. Whatever was raised, nothing has changed.
 *   @example
 *     shaper.enqueue(message.key, message, message.partition, message.offset)
 */
static VALUE enqueue(int argc, VALUE *argv, VALUE self) {
    struct manager *manager = manager_get(self);
    uint64_t deadline = NEVER;
    if (argc != 4 || rb_keyword_given_p()) {
        VALUE options;
        rb_scan_args(argc, argv, "40:", NULL, NULL, NULL, NULL, &options);
        deadline = deadline_after(keyword_or_nil(options, "timeout"));
    }
    struct entry entry = check_entry(argv[0], argv[1], argv[2], argv[3]);
    while (!find_way_in(manager, &entry.address)) {
        wait_for_room(manager, &entry.address, deadline);
    }
    go_in(manager, &entry);
    return Qtrue;
}

/*
 * Enqueues a message if there is room for it right now.
 *
 * @overload try_enqueue(sub_key, message, partition, offset)
 *   @param sub_key [Object] as for {#enqueue}
 *   @param message [Object] as for {#enqueue}
 *   @param partition [Object] as for {#enqueue}
 *   @param offset [Integer] as for {#enqueue}
 *   @return [Boolean] false: full, and nothing has changed
 *   @raise [ShuttingDown, ForkedProcess, TypeError, ArgumentError] as for {#enqueue}
 *   @example
 *     poll_other_things until shaper.try_enqueue(message.key, message, message.partition, message.offset)
 */
static VALUE try_enqueue(VALUE self, VALUE sub_key, VALUE message, VALUE partition, VALUE offset) {
    struct manager *manager = manager_get(self);
    struct entry entry = check_entry(sub_key, message, partition, offset);
    if (!find_way_in(manager, &entry.address)) {
        return Qfalse;
    }
    go_in(manager, &entry);
    return Qtrue;
}

void init_door(VALUE manager_class) {
    rb_define_method(manager_class, "enqueue", enqueue, -1);
    rb_define_method(manager_class, "try_enqueue", try_enqueue, 4);
}
