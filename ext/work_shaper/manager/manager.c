#include "manager.h"

#include "../errors.h"
#include "../ruby/clock.h"
#include "../ruby/process.h"
#include "../stream/stream.h"
#include "supervisor.h"

bool manager_forked(const struct manager *manager) {
    return manager->generation != process_generation();
}

/* The Ruby object */

static void mark_manager(void *data) {
    struct manager *manager = data;
    const VALUE held[] = {manager->work.receiver,    manager->on_done.receiver, manager->failures,
                          manager->ack.receiver,     manager->fatal.callback,   manager->fatal.error,
                          manager->fatal.partition,  manager->ending,           manager->acknowledger.slot.thread,
                          manager->timekeeper.thread};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        rb_gc_mark(held[i]);
    }
    registry_mark(manager);
    durations_mark(&manager->durations);
    workers_mark(&manager->workers);
    if (manager->stream) {
        stream_mark(manager->stream);
    }
}

static void compact_manager(void *data) {
    struct manager *manager = data;
    manager->self = rb_gc_location(manager->self);
    registry_compact(manager);
}

/* No thread of the manager is left, since each keeps it from being collected; or this is a forked child. */
static void free_manager(void *data) {
    struct manager *manager = data;
    waiters_destroy(&manager->waiters);
    if (manager->stream) {
        stream_destroy(manager->stream);
    }
    registry_destroy(manager);
    durations_destroy(&manager->durations);
    ruby_xfree(manager);
}

static size_t size_of_manager(const void *data) {
    const struct manager *manager = data;
    return sizeof *manager + registry_bytes(manager) + durations_bytes(&manager->durations);
}

static const rb_data_type_t manager_type = {
    .wrap_struct_name = "WorkShaper::Manager",
    .function = {.dmark = mark_manager, .dfree = free_manager, .dsize = size_of_manager, .dcompact = compact_manager},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

struct manager *manager_of(VALUE self) {
    return rb_check_typeddata(self, &manager_type);
}

struct manager *manager_get(VALUE self) {
    struct manager *manager = manager_of(self);
    if (!manager->set_up) {
        rb_raise(work_shaper_error, "this WorkShaper::Manager was never initialized");
    }
    if (manager_forked(manager)) {
        rb_raise(work_shaper_forked_process,
                 "this WorkShaper::Manager belongs to the parent process: make a new one after fork");
    }
    return manager;
}

struct partition *manager_partition(VALUE self, VALUE key) {
    struct partition *partition = registry_partition(manager_get(self), key);
    manager_get(self); /* the key's #eql? may have forked */
    return partition;
}

VALUE manager_allocate(VALUE class) {
    struct manager *manager;
    VALUE self = TypedData_Make_Struct(class, struct manager, &manager_type, manager);
    manager->self = self;
    manager->generation = process_generation();
    manager->work.receiver = manager->on_done.receiver = manager->ack.receiver = manager->failures = Qnil;
    manager->fatal.callback = manager->fatal.error = manager->fatal.partition = Qnil;
    manager->ending = Qnil;
    scheduler_init(&manager->scheduler, 1, 1);
    registry_init(&manager->registry);
    durations_init(&manager->durations);
    meters_init(&manager->meters);
    acknowledger_init(manager);
    timekeeper_init(manager);
    workers_init(&manager->workers);
    waiters_init(&manager->waiters);
    room_init(&manager->room);
    return self;
}

static void set_callback(struct manager *manager, struct callback *callback, VALUE receiver) {
    callback_set(callback, receiver);
    RB_OBJ_WRITTEN(manager->self, Qundef, receiver);
}

void manager_prepare(struct manager *manager, VALUE failures, VALUE settings) {
    VALUE self = manager->self;
    if (manager->set_up) {
        rb_raise(work_shaper_error, "this %s is initialized already", rb_obj_classname(self));
    }
#define SETTING(name) rb_hash_fetch(settings, ID2SYM(rb_intern(name)))
    scheduler_init(&manager->scheduler, NUM2UINT(SETTING("max_in_queue")), NUM2UINT(SETTING("max_in_flight")));
    manager->roster.concurrency = NUM2UINT(SETTING("concurrency"));
    fairness_init(manager);
    manager->acknowledger.tick = NUM2ULL(SETTING("offset_commit_period_ms")) * NANOSECONDS_PER_MILLISECOND;
    manager->acknowledger.heartbeat = NUM2ULL(SETTING("heartbeat_period_sec")) * NANOSECONDS_PER_SECOND;
    manager->stuck_after = NUM2ULL(SETTING("stuck_after_ms")) * NANOSECONDS_PER_MILLISECOND;
    manager->acknowledger.latest = SETTING("acks") == ID2SYM(rb_intern("latest"));
#undef SETTING
    RB_OBJ_WRITE(self, &manager->failures, failures);
    RB_OBJ_WRITE(self, &manager->ending, rb_ary_new());
    attempts_ask(manager);
}

/*
 * call-seq: set_up(work, on_done, ack, failures, settings)
 *
 * The native half of initialize; the settings are a Hash of checked values.
 */
static VALUE set_up(VALUE self, VALUE work, VALUE on_done, VALUE ack, VALUE failures, VALUE settings) {
    struct manager *manager = manager_of(self);
    manager_prepare(manager, failures, settings);
    set_callback(manager, &manager->work, work);
    set_callback(manager, &manager->on_done, on_done);
    set_callback(manager, &manager->ack, ack);
    acknowledger_start(manager);
    manager->set_up = true;
    return self;
}

/* The state as a whole */

bool manager_settled(const struct manager *manager) {
    return roster_settled(&manager->roster, &manager->scheduler);
}

bool manager_stopped(const struct manager *manager) {
    return roster_stopped(&manager->roster, &manager->scheduler);
}

bool manager_deserted(struct manager *manager) {
    const struct roster *roster = &manager->roster;
    if (roster->acknowledger != THREAD_GONE || roster->workers) {
        return false;
    }
    supervise(manager);
    return roster->acknowledger == THREAD_GONE && !roster->workers && process_ends();
}

void manager_request_shutdown(struct manager *manager) {
    manager->roster.closing = true;
    manager_progress(manager);
    waiters_look(manager);
}

void manager_fail(struct manager *manager, const char *callback, VALUE error, const struct partition *partition,
                  int64_t offset) {
    if (NIL_P(manager->fatal.callback)) {
        VALUE self = manager->self;
        RB_OBJ_WRITE(self, &manager->fatal.callback, ID2SYM(rb_intern(callback)));
        RB_OBJ_WRITE(self, &manager->fatal.error, error);
        RB_OBJ_WRITE(self, &manager->fatal.partition, partition->keyed.key);
        manager->fatal.offset = offset;
    }
    manager->roster.closing = true;
}

void manager_progress(struct manager *manager) {
    supervise(manager);
    if (list_empty(&manager->waiters.all)) {
        return;
    }
    if (manager->roster.room_awaited) {
        room_freed(manager);
    }
    if (drains_look(manager) || manager_settled(manager)) {
        waiters_look(manager);
    }
}

/* Once there are this many, the dead ones are removed. */
#define MANY_ENDING 64

static VALUE alive(RB_BLOCK_CALL_FUNC_ARGLIST(thread, unused)) {
    (void)unused;
    (void)argc;
    (void)argv;
    (void)blockarg;
    return rb_funcall(thread, rb_intern("alive?"), 0);
}

static VALUE note_ending(VALUE self) {
    VALUE ending = manager_of(self)->ending;
    if (RARRAY_LEN(ending) >= MANY_ENDING) {
        rb_block_call(ending, rb_intern("select!"), 0, NULL, alive, Qnil);
    }
    return rb_ary_push(ending, rb_thread_current());
}

void manager_thread_ends(struct manager *manager) {
    try_call(note_ending, manager->self);
    acknowledger_wake_again(manager); /* no other thread may be left to see that it does not come */
    thread_slot_wake_again(&manager->timekeeper);
    supervise(manager);
    if (manager->roster.acknowledger == THREAD_GONE && manager->roster.idle) {
        workers_wake_one(manager); /* this one may not have been able to start another */
    }
    waiters_wake(manager);
}

bool manager_inside_callback(const struct manager *manager) {
    VALUE current = rb_thread_current();
    return manager->acknowledger.slot.thread == current || workers_find(manager, current);
}

void init_manager(VALUE work_shaper) {
    VALUE manager_class = rb_define_class_under(work_shaper, "Manager", rb_cObject);
    rb_define_alloc_func(manager_class, manager_allocate);
    rb_undef_method(manager_class, "initialize_copy");
    rb_define_private_method(manager_class, "set_up", set_up, 5);
}
