#include "enqueue.h"

#include "../errors.h"
#include "../ruby/clock.h"
#include "../ruby/options.h"
#include "manager.h"
#include "supervisor.h"

/* A message that comes in. */
struct entry {
    struct manager *manager;
    VALUE sub_key, message, partition;
    int64_t offset;
    struct address address;
    VALUE waiter; /* holds what stands in line for it, while it does */
};

/* Raises when the manager takes no more messages. To be called after every call that may have run Ruby code. */
static void check_open(struct manager *manager) {
    if (manager_forked(manager)) {
        manager_get(manager->self); /* raises */
    }
    if (manager->roster.closing) {
        rb_raise(work_shaper_shutting_down, "the manager is shutting down and takes no more work%s",
                 NIL_P(manager->fatal.callback) ? "" : ": see stats[:fatal]");
    }
}

static void refuse_at_exit(void) {
    rb_raise(work_shaper_shutting_down, "the process is about to end, and the manager takes no more work");
}

/* Raises when no thread could ever work on a message. */
static void check_staff(struct manager *manager) {
    if (!manager->roster.workers && manager_deserted(manager)) {
        refuse_at_exit();
    }
}

/*
 * Looks the address up, so that all that is left to do is to go in: it is valid, since no Ruby code runs between the
 * last look and the return. The keys count as they are now: a String may have been changed since the last time.
 */
static void look_up(struct entry *entry) {
    struct manager *manager = entry->manager;
    acknowledger_stand_in(manager);
    check_staff(manager);
    entry->address = address_of(manager, entry->sub_key, entry->partition);
    registry_look_up(manager, &entry->address);
    check_open(manager);
}

static void go_in(struct entry *entry) {
    struct manager *manager = entry->manager;
    struct address *address = &entry->address;
    registry_fill(manager, address);
    if (!scheduler_offer(&manager->scheduler, &address->sub_key->queue, &address->partition->tracker,
                         (uintptr_t)entry->message, entry->offset, clock_milliseconds())) {
        registry_release_sub_key(manager, address->sub_key);
        rb_memerror();
    }
    RB_OBJ_WRITTEN(manager->self, Qundef, entry->message);
    weight_add(manager, address->partition, entry->message);
    drain_follow_up(manager, address->partition);
    supervise(manager);
}

/* Waiting for room */

static const char *full_message(enum room_left left) {
    switch (left) {
    case SUB_KEY_FULL:
        return "max_in_queue messages wait on this sub key";
    case BACKLOG_FULL:
        return "too many finished messages are not acknowledged";
    default:
        return "max_in_flight messages are unfinished";
    }
}

static bool turn_has_come(const struct waiter *waiter) {
    return waiter->manager->roster.closing || room_first_in_line((const struct blocked *)waiter);
}

static void leave_line(struct waiter *waiter) {
    room_leave_line((struct blocked *)waiter);
}

/* Returns Qfalse when it stands in the wrong line: the key was changed meanwhile. */
static VALUE wait_and_go_in(VALUE argument) {
    struct entry *entry = (struct entry *)argument;
    struct blocked *blocked = (struct blocked *)waiter_of(entry->waiter);
    do {
        enum wait_end end = waiter_wait(&blocked->waiter);
        if (end == WAIT_DESERTED) {
            refuse_at_exit();
        }
        if (end == WAIT_TIMED_OUT) {
            rb_raise(work_shaper_full, "%s, and the timeout is over",
                     full_message(room_left(entry->manager, blocked->sub_key, 0)));
        }
        look_up(entry);
        if (entry->address.sub_key != blocked->sub_key) {
            return Qfalse;
        }
    } while (!room_first_in_line(blocked));
    go_in(entry);
    return Qtrue;
}

static VALUE leave_place(VALUE argument) {
    const struct entry *entry = (const struct entry *)argument;
    struct blocked *blocked = (struct blocked *)waiter_of(entry->waiter);
    waiter_leave(&blocked->waiter);
    if (!manager_forked(entry->manager)) {
        room_made(entry->manager, blocked->sub_key);
        room_look(entry->manager);
        registry_release_sub_key(entry->manager, blocked->sub_key);
    }
    return Qnil;
}

/* Raises Full after the deadline, or at once where it could wait for itself. Returns whether it went in. */
static bool wait_in_line(struct entry *entry, enum room_left left, uint64_t deadline) {
    struct manager *manager = entry->manager;
    if (deadline == NEVER && manager_inside_callback(manager)) {
        rb_raise(work_shaper_full, "%s, and inside a callback it could wait for itself: give a timeout",
                 full_message(left));
    }
    if (clock_nanoseconds() >= deadline) {
        rb_raise(work_shaper_full, "%s, and the timeout is over", full_message(left));
    }
    registry_fill_sub_key(manager, &entry->address); /* it lives as long as someone waits for it */
    const struct blocked blocked = {
        .waiter = {.manager = manager, .over = turn_has_come, .leave = leave_line, .deadline = deadline},
        .sub_key = entry->address.sub_key};
    entry->waiter = waiter_join(&blocked.waiter, sizeof blocked);
    room_enter_line((struct blocked *)waiter_of(entry->waiter));
    return RTEST(rb_ensure(wait_and_go_in, (VALUE)entry, leave_place, (VALUE)entry));
}

/* The methods */

static struct entry entry_of(struct manager *manager, VALUE sub_key, VALUE message, VALUE partition, int64_t offset) {
    return (struct entry){.manager = manager,
                          .sub_key = sub_key,
                          .message = message,
                          .partition = partition,
                          .offset = offset,
                          .waiter = Qnil};
}

void manager_enqueue(struct manager *manager, VALUE sub_key, VALUE message, VALUE partition, int64_t offset) {
    struct entry entry = entry_of(manager, sub_key, message, partition, offset);
    look_up(&entry);
    go_in(&entry);
}

/*
 * Enqueues a message. It runs after everything enqueued before it on the same sub key, and in parallel with other sub
 * keys.
 *
 * It blocks while `max_in_queue` messages wait on this sub key, or `max_in_flight` are unfinished (they wait or run) in
 * all, or as many are finished and `ack`, which is under way, lags behind. Inside a callback of the same manager it
 * could wait for itself, so unless a timeout is given, it does not wait there: it raises Full at once.
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
 *   @raise [TypeError, ArgumentError] the offset is not an Integer in that range, or the timeout is not a number >= 0.
 *     Whatever is raised, nothing has changed.
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
    struct entry entry = entry_of(manager, argv[0], argv[1], argv[2], check_offset(argv[3], "offset"));
    enum room_left left;
    do {
        look_up(&entry);
        left = room_for_newcomer(manager, entry.address.sub_key);
        if (left == ROOM) {
            go_in(&entry);
            break;
        }
    } while (!wait_in_line(&entry, left, deadline));
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
    struct entry entry = entry_of(manager, sub_key, message, partition, check_offset(offset, "offset"));
    look_up(&entry);
    if (room_for_newcomer(manager, entry.address.sub_key) != ROOM) {
        return Qfalse;
    }
    go_in(&entry);
    return Qtrue;
}

void init_enqueue(VALUE manager_class) {
    rb_define_method(manager_class, "enqueue", enqueue, -1);
    rb_define_method(manager_class, "try_enqueue", try_enqueue, 4);
}
