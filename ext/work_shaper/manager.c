#include "manager.h"

#include "acknowledger.h"
#include "caller.h"
#include "clock.h"
#include "kafka/feed.h"
#include "registry.h"
#include "thread.h"
#include "worker.h"

#ifdef HAVE_PTHREAD_ATFORK
#include <pthread.h>
#endif

/* Fork */

/* How many forks lie between this process and the one that loaded the extension. */
static unsigned long fork_generation;

static void count_fork(void) {
    fork_generation++;
}

bool manager_forked(const struct manager *manager) {
    return manager->fork_generation != fork_generation;
}

/* Process exit */

/* Set as late as an at_exit block can: then Ruby kills all threads. */
static bool process_exiting;

static void note_exit(VALUE unused) {
    (void)unused;
    process_exiting = true;
}

/* The Ruby object */

static void mark_manager(void *data) {
    struct manager *manager = data;
    const VALUE held[] = {manager->work.receiver, manager->on_done.receiver, manager->on_error.receiver,
                          manager->ack.receiver,  manager->baton.thread,     manager->fatal.place,
                          manager->fatal.error,   manager->fatal.partition,  manager->threads};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        rb_gc_mark(held[i]);
    }
    registry_mark(manager);
    worker_mark(manager);
}

static void compact_manager(void *data) {
    struct manager *manager = data;
    manager->self = rb_gc_location(manager->self);
    registry_compact(manager);
}

/* No thread of the manager is left, for each keeps it from being collected; or it is a forked child. */
static void free_manager(void *data) {
    struct manager *manager = data;
    registry_destroy(manager);
    ruby_xfree(manager);
}

static size_t size_of_manager(const void *data) {
    return sizeof(struct manager) + registry_bytes(data);
}

static const rb_data_type_t manager_type = {
    .wrap_struct_name = "WorkShaper::Manager",
    .function = {.dmark = mark_manager, .dfree = free_manager, .dsize = size_of_manager, .dcompact = compact_manager},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

struct manager *thread_manager(VALUE self) {
    return rb_check_typeddata(self, &manager_type);
}

struct manager *manager_get(VALUE self) {
    struct manager *manager = rb_check_typeddata(self, &manager_type);
    if (!manager->set_up) {
        rb_raise(work_shaper_error, "this WorkShaper::Manager was never initialized");
    }
    if (manager_forked(manager)) {
        rb_raise(work_shaper_forked_process,
                 "this WorkShaper::Manager belongs to the parent process: make a new one after fork");
    }
    return manager;
}

static VALUE allocate_manager(VALUE class) {
    struct manager *manager;
    VALUE self = TypedData_Make_Struct(class, struct manager, &manager_type, manager);
    manager->self = self;
    manager->fork_generation = fork_generation;
    manager->work.receiver = manager->on_done.receiver = manager->on_error.receiver = manager->ack.receiver = Qnil;
    manager->fatal.place = manager->fatal.error = manager->fatal.partition = Qnil;
    manager->baton.thread = Qfalse;
    manager->threads = Qnil;
    scheduler_init(&manager->scheduler, 1, 1);
    pool_init(&manager->sub_key_pool, sizeof(struct sub_key));
    parker_init(&manager->acknowledger.parker);
    return self;
}

static void set_callback(struct manager *manager, struct callback *callback, VALUE receiver) {
    callback_set(callback, receiver);
    RB_OBJ_WRITTEN(manager->self, Qundef, receiver);
}

/*
 * call-seq: set_up(work, on_done, on_error, ack, settings)
 *
 * The native half of initialize; the settings are a Hash of checked values.
 */
static VALUE set_up(VALUE self, VALUE work, VALUE on_done, VALUE on_error, VALUE ack, VALUE settings) {
    struct manager *manager = thread_manager(self);
    if (manager->set_up) {
        rb_raise(work_shaper_error, "this WorkShaper::Manager is initialized already");
    }
#define SETTING(name) rb_hash_fetch(settings, ID2SYM(rb_intern(name)))
    scheduler_init(&manager->scheduler, NUM2UINT(SETTING("max_in_queue")), NUM2UINT(SETTING("max_in_flight")));
    manager->concurrency = NUM2UINT(SETTING("concurrency"));
    manager->idleness.since = clock_nanoseconds();
    manager->acknowledger.tick = NUM2ULL(SETTING("offset_commit_period_ms")) * NANOSECONDS_PER_MILLISECOND;
    manager->acknowledger.heartbeat = NUM2ULL(SETTING("heartbeat_period_sec")) * NANOSECONDS_PER_SECOND;
    manager->acknowledger.latest = SETTING("acks") == ID2SYM(rb_intern("latest"));
#undef SETTING
    set_callback(manager, &manager->work, work);
    set_callback(manager, &manager->on_done, on_done);
    set_callback(manager, &manager->on_error, on_error);
    set_callback(manager, &manager->ack, ack);
    RB_OBJ_WRITE(self, &manager->threads, rb_ary_new());
    manager->set_up = true;
    acknowledger_start(manager);
    return self;
}

/* The state as a whole */

bool manager_settled(const struct manager *manager) {
    const struct scheduler *scheduler = &manager->scheduler;
    return !scheduler->waiting && !scheduler->running && !manager->baton.thread &&
           (manager->acknowledger.stopped || !scheduler->first_moved);
}

bool manager_stopped(const struct manager *manager) {
    return manager->closing && manager_settled(manager) && !manager->workers &&
           manager->acknowledger.state == ACKNOWLEDGER_GONE;
}

static void wake_everyone(struct manager *manager) {
    workers_wake(manager);
    acknowledger_wake(manager);
    callers_wake(manager, WISH_ROOM);
    callers_wake(manager, WISH_FLIGHT);
    callers_wake(manager, WISH_SETTLED);
    callers_wake(manager, WISH_BATON);
}

void manager_request_shutdown(struct manager *manager) {
    manager->closing = true;
    wake_everyone(manager);
}

void manager_fail(struct manager *manager, const char *place, VALUE error, const struct partition *partition,
                  int64_t offset) {
    if (NIL_P(manager->fatal.place)) {
        VALUE self = manager->self;
        RB_OBJ_WRITE(self, &manager->fatal.place, ID2SYM(rb_intern(place)));
        RB_OBJ_WRITE(self, &manager->fatal.error, error);
        RB_OBJ_WRITE(self, &manager->fatal.partition, partition->keyed.key);
        manager->fatal.offset = offset;
    }
    manager_request_shutdown(manager);
}

void manager_progress(struct manager *manager) {
    acknowledger_call(manager);
    if (manager_settled(manager)) {
        callers_wake(manager, WISH_SETTLED);
        if (manager->closing) {
            acknowledger_wake(manager);
        }
    }
}

void manager_staff(struct manager *manager) {
    acknowledger_start(manager);
    worker_call(manager);
}

static VALUE staff(VALUE self) {
    manager_staff(thread_manager(self));
    return Qnil;
}

void manager_relieve(struct manager *manager) {
    if (!process_exiting) {
        int state;
        rb_protect(staff, manager->self, &state); /* whoever is woken below tries again */
        if (state) {
            rb_set_errinfo(Qnil);
        }
    }
    workers_wake_one(manager);
    acknowledger_wake(manager);
    callers_wake(manager, WISH_ROOM);
    callers_wake(manager, WISH_FLIGHT);
    callers_wake(manager, WISH_SETTLED);
}

bool manager_inside_callback(const struct manager *manager) {
    VALUE current = rb_thread_current();
    for (const struct worker *worker = manager->workers; worker; worker = worker->next) {
        if (worker->thread == current) {
            return true;
        }
    }
    return manager->baton.thread == current;
}

void init_manager(VALUE work_shaper) {
    VALUE manager_class = rb_define_class_under(work_shaper, "Manager", rb_cObject);
#ifdef HAVE_PTHREAD_ATFORK
    pthread_atfork(NULL, NULL, count_fork);
#endif
    key_hash_init();
    rb_set_end_proc(note_exit, Qnil);
    rb_define_alloc_func(manager_class, allocate_manager);
    rb_undef_method(manager_class, "initialize_copy");
    rb_define_private_method(manager_class, "set_up", set_up, 5);
    init_door(manager_class);
    init_control(manager_class);
    init_inspection(manager_class);
    init_feed(manager_class);
}
