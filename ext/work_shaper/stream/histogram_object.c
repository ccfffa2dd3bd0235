#include "histogram_object.h"

#include "../ruby/clock.h"
#include "../ruby/options.h"

/* Seconds that are 2^64 nanoseconds. */
#define TOO_LONG 18446744073.709551616

static VALUE histogram_class;

static void free_histogram(void *data) {
    histogram_destroy(data);
    xfree(data);
}

static size_t size_of(const void *data) {
    return sizeof(struct histogram) + histogram_bytes(data);
}

static const rb_data_type_t histogram_type = {
    .wrap_struct_name = "WorkShaper::Histogram",
    .function = {.dfree = free_histogram, .dsize = size_of},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static struct histogram *histogram_of(VALUE object) {
    return rb_check_typeddata(object, &histogram_type);
}

static VALUE allocate(VALUE class) {
    struct histogram *histogram;
    VALUE self = TypedData_Make_Struct(class, struct histogram, &histogram_type, histogram);
    histogram_init(histogram);
    return self;
}

VALUE histogram_copy(const struct histogram *histogram) {
    VALUE self = allocate(histogram_class);
    if (!histogram_merge(histogram_of(self), histogram)) {
        rb_memerror();
    }
    return self;
}

static VALUE seconds_of(uint64_t nanoseconds) {
    return DBL2NUM((double)nanoseconds / (double)NANOSECONDS_PER_SECOND);
}

/*
 * Counts a value.
 *
 * @param seconds [Numeric] from 0; it is kept to a nanosecond
 * @return [self]
 * @raise [TypeError, ArgumentError] it is not a number in that range
 * @example
 *   histogram.record(0.0123)
 */
static VALUE record(VALUE self, VALUE seconds) {
    rb_check_frozen(self);
    double number = check_number(seconds, "seconds");
    if (!(number >= 0 && number < TOO_LONG)) {
        rb_raise(rb_eArgError, "seconds must be a number from 0 to 584 years, not %" PRIsVALUE, rb_inspect(seconds));
    }
    if (!histogram_record(histogram_of(self), (uint64_t)(number * (double)NANOSECONDS_PER_SECOND + 0.5), 1)) {
        rb_memerror();
    }
    return self;
}

/*
 * Counts all that another one has counted. That one stays as it is.
 *
 * @param other [Histogram]
 * @return [self]
 * @raise [TypeError] it is something else
 * @example
 *   workers.map(&:latencies).inject(WorkShaper::Histogram.new, :merge)
 */
static VALUE merge(VALUE self, VALUE other) {
    rb_check_frozen(self);
    if (!histogram_merge(histogram_of(self), histogram_of(other))) {
        rb_memerror();
    }
    return self;
}

/*
 * A copy counts on its own.
 *
 * @private
 */
static VALUE initialize_copy(VALUE self, VALUE original) {
    const struct histogram *copied = histogram_of(original);
    if (self != original) {
        histogram_destroy(histogram_of(self));
        if (!histogram_merge(histogram_of(self), copied)) {
            rb_memerror();
        }
    }
    return self;
}

/*
 * @return [Integer] how many values were recorded
 * @example
 *   histogram.count #=> 3
 */
static VALUE count(VALUE self) {
    return ULL2NUM(histogram_of(self)->count);
}

/*
 * @return [Float, nil] the mean in seconds, exactly; nil when there is no value
 * @example
 *   histogram.mean #=> 0.0125
 */
static VALUE mean(VALUE self) {
    const struct histogram *histogram = histogram_of(self);
    return histogram->count > 0 ? DBL2NUM(histogram_mean(histogram) / (double)NANOSECONDS_PER_SECOND) : Qnil;
}

/*
 * @return [Float, nil] the lowest value in seconds, exactly; nil when there is none
 * @example
 *   histogram.min #=> 0.0101
 */
static VALUE min(VALUE self) {
    const struct histogram *histogram = histogram_of(self);
    return histogram->count > 0 ? seconds_of(histogram->lowest) : Qnil;
}

/*
 * @return [Float, nil] the highest value in seconds, exactly; nil when there is none
 * @example
 *   histogram.max #=> 0.0148
 */
static VALUE max(VALUE self) {
    const struct histogram *histogram = histogram_of(self);
    return histogram->count > 0 ? seconds_of(histogram->highest) : Qnil;
}

/*
 * The lowest value such that at least so many percent of the values are not above it (nearest rank), at most 0.8 % too
 * high, and never above {#max}.
 *
 * @param percent [Numeric] from 0 to 100
 * @return [Float, nil] seconds; nil when there is no value
 * @raise [TypeError, ArgumentError] it is not a number in that range
 * @example
 *   histogram.percentile(99.9) #=> 0.0148
 */
static VALUE percentile(VALUE self, VALUE percent) {
    double number = check_number(percent, "percent");
    if (!(number >= 0 && number <= 100)) {
        rb_raise(rb_eArgError, "percent must be a number from 0 to 100, not %" PRIsVALUE, rb_inspect(percent));
    }
    const struct histogram *histogram = histogram_of(self);
    return histogram->count > 0 ? seconds_of(histogram_percentile(histogram, number)) : Qnil;
}

/*
 * Goes through the buckets in which there are values, the lowest first.
 *
 * @yieldparam bound [Float] the highest value of the bucket in seconds
 * @yieldparam count [Integer] how many values are in it
 * @return [self, Enumerator] an Enumerator without a block
 * @example
 *   histogram.each { |bound, count| puts "up to #{bound} s: #{count}" }
 */
static VALUE each(VALUE self) {
    RETURN_ENUMERATOR(self, 0, 0);
    const struct histogram *histogram = histogram_of(self);
    for (size_t bucket = 0; (bucket = histogram_next(histogram, bucket)) < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t counted = histogram_count(histogram, bucket);
        rb_yield(rb_assoc_new(seconds_of(histogram_bound(bucket)), ULL2NUM(counted)));
    }
    return self;
}

/*
 * Document-class: WorkShaper::Histogram
 *
 * How often each duration came: counts in buckets that get wider with their values, each by less than 1 %. It takes
 * about 500 bytes, and 1 KiB for each power of two within which a value came: 24 KiB for anything from 1 microsecond to
 * 10 seconds, 58 KiB at most, however many values there are.
 *
 * Any number of threads may record.
 *
 * @example
 *   histogram = WorkShaper::Histogram.new
 *   histogram.record(0.0123)
 *   histogram.percentile(99.9) #=> 0.0123
 */

void init_histogram(VALUE work_shaper) {
    histogram_class = rb_define_class_under(work_shaper, "Histogram", rb_cObject);
    rb_gc_register_mark_object(histogram_class);
    rb_define_alloc_func(histogram_class, allocate);
    rb_define_method(histogram_class, "initialize_copy", initialize_copy, 1);
    rb_define_method(histogram_class, "record", record, 1);
    rb_define_method(histogram_class, "merge", merge, 1);
    rb_define_method(histogram_class, "count", count, 0);
    rb_define_method(histogram_class, "mean", mean, 0);
    rb_define_method(histogram_class, "min", min, 0);
    rb_define_method(histogram_class, "max", max, 0);
    rb_define_method(histogram_class, "percentile", percentile, 1);
    rb_define_method(histogram_class, "each", each, 0);
}
