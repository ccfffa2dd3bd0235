#include "errors.h"
#include "kafka/feed.h"
#include "kafka/intake.h"
#include "kafka/message.h"
#include "kafka/offset_map_object.h"
#include "manager/enqueue.h"
#include "manager/failure.h"
#include "manager/manager.h"
#include "ruby/process.h"
#include "ruby/ruby_thread.h"
#include "stream/histogram_object.h"
#include "stream/rate.h"
#include "stream/stream.h"

VALUE work_shaper_error, work_shaper_shutting_down, work_shaper_full, work_shaper_forked_process, work_shaper_closed;

/* The classes are made in Ruby (lib/work_shaper/errors.rb), which is loaded first. */
static VALUE error_class(VALUE work_shaper, const char *name) {
    VALUE class = rb_const_get(work_shaper, rb_intern(name));
    rb_gc_register_mark_object(class);
    return class;
}

static void init_errors(VALUE work_shaper) {
    work_shaper_error = error_class(work_shaper, "Error");
    work_shaper_shutting_down = error_class(work_shaper, "ShuttingDown");
    work_shaper_full = error_class(work_shaper, "Full");
    work_shaper_forked_process = error_class(work_shaper, "ForkedProcess");
    work_shaper_closed = error_class(work_shaper, "Closed");
}

RUBY_FUNC_EXPORTED void Init_work_shaper(void) {
    VALUE work_shaper = rb_define_module("WorkShaper");
    init_errors(work_shaper);
    init_process();
    init_thread();
    init_manager(work_shaper);
    VALUE manager_class = rb_const_get(work_shaper, rb_intern("Manager"));
    init_enqueue(manager_class);
    init_control(manager_class);
    init_drain(manager_class);
    init_dropping(manager_class);
    init_stats(manager_class);
    init_holding(manager_class);
    init_stuck(manager_class);
    init_failure(work_shaper, manager_class);
    init_rate(work_shaper);
    init_stream(work_shaper);
    init_histogram(work_shaper);
    init_message(work_shaper);
    init_intake(work_shaper);
    init_feed(work_shaper);
    init_offset_map(work_shaper);
}
