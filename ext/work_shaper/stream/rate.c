#include "rate.h"

#include "../ruby/clock.h"
#include "../ruby/options.h"
#include "line.h"

#include <math.h>

/* What a burst is when nothing is said: as many as may start in so many seconds. */
#define USUAL_BURST(per_second) ((per_second) / 100)

/* How long a burst may take to come back, in seconds: what is owed stays far from the end of time. */
#define SLOWEST_BURST 1e9

/* What Integers may be. */
#define MOST INT32_MAX

struct rate {
    struct line line;
    VALUE limit, per, burst; /* as they were given; nil: it has not been initialized */
};

static void mark(void *data) {
    const struct rate *rate = data;
    rb_gc_mark(rate->limit);
    rb_gc_mark(rate->per);
    rb_gc_mark(rate->burst);
}

/* Those who wait keep it alive; what is still in the line is garbage, too. */
static void free_rate(void *data) {
    struct rate *rate = data;
    line_clear(&rate->line);
    xfree(rate);
}

static size_t size_of(const void *data) {
    (void)data;
    return sizeof(struct rate);
}

static const rb_data_type_t rate_type = {
    .wrap_struct_name = "WorkShaper::Rate",
    .function = {.dmark = mark, .dfree = free_rate, .dsize = size_of},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static struct rate *get(VALUE self) {
    return rb_check_typeddata(self, &rate_type);
}

static VALUE allocate(VALUE class) {
    struct rate *rate;
    VALUE self = TypedData_Make_Struct(class, struct rate, &rate_type, rate);
    rate->limit = rate->per = rate->burst = Qnil;
    line_init(&rate->line);
    return self;
}

uint64_t rate_take(VALUE rate, uint64_t now) {
    return line_take(&get(rate)->line, now);
}

/* The limits */

static double number_of(VALUE value, const char *name) {
    double number = check_number(value, name);
    if (!isfinite(number) || number <= 0) {
        rb_raise(rb_eArgError, "%s must be a number > 0, not %" PRIsVALUE, name, rb_inspect(value));
    }
    return number;
}

static uint32_t integer_of(VALUE value, const char *name, const char *otherwise) {
    if (!RB_INTEGER_TYPE_P(value)) {
        rb_raise(rb_eTypeError, "%s must be an Integer%s, not %" PRIsVALUE, name, otherwise, rb_inspect(value));
    }
    if (!FIXNUM_P(value) || FIX2LONG(value) < 1 || FIX2LONG(value) > MOST) {
        rb_raise(rb_eArgError, "%s must be an Integer from 1 to %d, not %" PRIsVALUE, name, MOST, rb_inspect(value));
    }
    return (uint32_t)FIX2LONG(value);
}

static uint32_t burst_of(VALUE value, double per_second) {
    double usual = USUAL_BURST(per_second);
    if (NIL_P(value)) {
        return usual < 1 ? 1 : (uint32_t)usual;
    }
    uint32_t burst = integer_of(value, "burst", " or nil");
    if (burst / per_second > SLOWEST_BURST) {
        rb_raise(rb_eArgError, "burst must be what may start within %g seconds, not %" PRIsVALUE, SLOWEST_BURST, value);
    }
    return burst;
}

static bool initialized(const struct rate *rate) {
    return !NIL_P(rate->limit);
}

/* All is checked before anything changes. */
static VALUE set(VALUE self, VALUE limit, VALUE per, VALUE burst) {
    rb_check_frozen(self);
    double per_second = number_of(limit, "limit") / number_of(per, "per");
    if (per_second < GCRA_SLOWEST || per_second > GCRA_FASTEST) {
        rb_raise(rb_eArgError, "limit / per must be from %g to %g a second, not %" PRIsVALUE " / %" PRIsVALUE,
                 GCRA_SLOWEST, GCRA_FASTEST, rb_inspect(limit), rb_inspect(per));
    }
    uint32_t at_once = burst_of(burst, per_second);
    struct rate *rate = get(self);
    if (initialized(rate)) {
        gcra_change(&rate->line.gcra, clock_nanoseconds(), per_second, at_once);
    } else {
        gcra_init(&rate->line.gcra, per_second, at_once);
    }
    RB_OBJ_WRITE(self, &rate->limit, limit);
    RB_OBJ_WRITE(self, &rate->per, per);
    RB_OBJ_WRITE(self, &rate->burst, burst);
    line_wake(&rate->line);
    return Qnil;
}

/* Of a Rate that `initialize` has seen. */
static struct rate *rate_of(VALUE self) {
    struct rate *rate = get(self);
    if (!initialized(rate)) {
        rb_raise(rb_eTypeError, "uninitialized %" PRIsVALUE, rb_obj_class(self));
    }
    return rate;
}

/*
 * @overload initialize(limit, per: 1, burst: nil)
 *   @param limit [Numeric] how many may start
 *   @param per [Numeric] in how many seconds; `limit / per` may be from 1e-6 to 1e9 a second
 *   @param burst [Integer, nil] how many may start at once after a pause, from 1 to 2**31 - 1; nil: as many as in 10
 *     ms, at least 1
 *   @raise [TypeError] an argument is of the wrong type
 *   @raise [ArgumentError] an argument is out of range
 *   @example
 *     WorkShaper::Rate.new(100, per: 60, burst: 5)
 */
static VALUE initialize(int argc, VALUE *argv, VALUE self) {
    VALUE limit, options, values[2] = {Qundef, Qundef};
    rb_scan_args(argc, argv, "1:", &limit, &options);
    if (!NIL_P(options)) {
        const ID names[2] = {rb_intern("per"), rb_intern("burst")};
        rb_get_kwargs(options, names, 0, 2, values);
    }
    return set(self, limit, values[0] == Qundef ? INT2FIX(1) : values[0], values[1] == Qundef ? Qnil : values[1]);
}

/*
 * How many may start in {#per} seconds.
 *
 * @return [Numeric]
 * @example
 *   rate.limit #=> 100
 */
static VALUE limit(VALUE self) {
    return rate_of(self)->limit;
}

/*
 * In how many seconds {#limit} may start.
 *
 * @return [Numeric]
 * @example
 *   rate.per #=> 1
 */
static VALUE per(VALUE self) {
    return rate_of(self)->per;
}

/*
 * How many may start at once after a pause.
 *
 * @return [Integer]
 * @example
 *   WorkShaper::Rate.new(1000).burst #=> 10
 */
static VALUE burst(VALUE self) {
    return UINT2NUM(rate_of(self)->line.gcra.burst);
}

/*
 * Sets the limit, also for those who wait already. What has started counts as it did: whoever took 5 at once at 10 a
 * second, and raises the limit to 1,000, has the next one after 5 ms.
 *
 * @overload limit=(limit)
 *   @param limit [Numeric] how many may start in {#per} seconds
 *   @return [Numeric]
 *   @raise [TypeError, ArgumentError] as for `new`; nothing has changed
 *   @example
 *     rate.limit = 20
 */
static VALUE set_limit(VALUE self, VALUE value) {
    const struct rate *rate = rate_of(self);
    set(self, value, rate->per, rate->burst);
    return value;
}

/*
 * Sets the burst, also for those who wait already.
 *
 * @overload burst=(burst)
 *   @param burst [Integer, nil] how many may start at once after a pause; nil: as many as in 10 ms, at least 1, also
 *     when the limit changes
 *   @return [Integer, nil]
 *   @raise [TypeError, ArgumentError] as for `new`; nothing has changed
 *   @example
 *     rate.burst = 50
 */
static VALUE set_burst(VALUE self, VALUE value) {
    const struct rate *rate = rate_of(self);
    set(self, rate->limit, rate->per, value);
    return value;
}

/*
 * Waits until so many may start. Callers go in the order in which they came; streams that share the Rate ask beside
 * them. Any number of threads can wait.
 *
 * More than {#burst} start at once, too: they wait until nothing is owed, and the next ones wait for all of them.
 *
 * Whoever is killed or interrupted while it waits has taken nothing, and those behind it move up.
 *
 * @overload acquire(count = 1, timeout: nil)
 *   @param count [Integer] how many, from 1 to 2**31 - 1
 *   @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
 *   @return [Boolean] false: it would have to wait for longer than the timeout, and nothing is taken. That is said as
 *     soon as it is known, mostly at once
 *   @raise [TypeError, ArgumentError] the count is not an Integer in that range, or the timeout is not a number >= 0
 *   @example
 *     rate.acquire
 *     client.get(url)
 *   @example What is too much is refused
 *     rate.acquire(timeout: 0) or return head(:too_many_requests)
 */
static VALUE acquire(int argc, VALUE *argv, VALUE self) {
    uint32_t count = 1;
    uint64_t deadline = NEVER;
    if (argc > 0) {
        VALUE wanted, options;
        argc = rb_scan_args(argc, argv, "01:", &wanted, &options);
        count = argc > 0 ? integer_of(wanted, "count", "") : 1;
        deadline = deadline_after(keyword_or_nil(options, "timeout"));
    }
    return line_acquire(&rate_of(self)->line, self, count, deadline) ? Qtrue : Qfalse;
}

/*
 * Document-class: WorkShaper::Rate
 *
 * How much may start: so many per so many seconds, evenly, and a few at once after a pause. Threads that share one call
 * {#acquire} before each piece of work.
 *
 * It is one number (GCRA): there is no thread behind it, it costs nothing while nobody waits, and it does not drift. A
 * process that was forked has its own.
 *
 * @example
 *   rate = WorkShaper::Rate.new(100) # a second
 *   urls.each { |url| rate.acquire && pool.post { fetch(url) } }
 *   rate.limit = 200
 */

void init_rate(VALUE work_shaper) {
    VALUE rate_class = rb_define_class_under(work_shaper, "Rate", rb_cObject);
    rb_define_alloc_func(rate_class, allocate);
    rb_undef_method(rate_class, "initialize_copy");
    rb_define_method(rate_class, "initialize", initialize, -1);
    rb_define_method(rate_class, "limit", limit, 0);
    rb_define_method(rate_class, "per", per, 0);
    rb_define_method(rate_class, "burst", burst, 0);
    rb_define_method(rate_class, "limit=", set_limit, 1);
    rb_define_method(rate_class, "burst=", set_burst, 1);
    rb_define_method(rate_class, "acquire", acquire, -1);
}
