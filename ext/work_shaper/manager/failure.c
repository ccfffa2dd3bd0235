#include "failure.h"

#include "../errors.h"
#include "manager.h"
#include "verdict.h"

static VALUE failure_class;

struct failure {
    VALUE manager;           /* keeps alive what sub_key points to; nil: it never belonged to a message */
    struct sub_key *sub_key; /* NULL: its message is over */
    VALUE answer;            /* a verdict that came while a worker still had the message, or Qundef */
    bool kept;               /* no worker has the message */
    bool giving_up;
};

static void mark(void *data) {
    const struct failure *failure = data;
    rb_gc_mark(failure->manager);
    if (failure->answer != Qundef) {
        rb_gc_mark(failure->answer);
    }
}

static size_t size_of(const void *data) {
    (void)data;
    return sizeof(struct failure);
}

static const rb_data_type_t failure_type = {
    .wrap_struct_name = "WorkShaper::Failure",
    .function = {.dmark = mark, .dfree = RUBY_TYPED_DEFAULT_FREE, .dsize = size_of},
    .flags = RUBY_TYPED_FREE_IMMEDIATELY | RUBY_TYPED_WB_PROTECTED,
};

static struct failure *get(VALUE self) {
    return rb_check_typeddata(self, &failure_type);
}

static VALUE allocate(VALUE class) {
    struct failure *failure;
    VALUE self = TypedData_Make_Struct(class, struct failure, &failure_type, failure);
    failure->manager = Qnil;
    failure->answer = Qundef;
    return self;
}

VALUE failure_of(struct manager *manager, struct sub_key *sub_key) {
    if (NIL_P(sub_key->failure)) {
        VALUE self = allocate(failure_class);
        struct failure *failure = get(self);
        RB_OBJ_WRITE(self, &failure->manager, manager->self);
        failure->sub_key = sub_key;
        RB_OBJ_WRITE(manager->self, &sub_key->failure, self);
    }
    return sub_key->failure;
}

void failure_over(struct sub_key *sub_key) {
    struct failure *failure = get(sub_key->failure);
    failure->sub_key = NULL;
    manager_of(failure->manager)->giving_up -= failure->giving_up;
    sub_key->failure = Qnil;
}

bool failure_giving_up(VALUE object) {
    return get(object)->giving_up;
}

VALUE failure_keep(VALUE object) {
    struct failure *failure = get(object);
    VALUE answer = failure->answer;
    failure->answer = Qundef;
    failure->kept = answer == Qundef;
    return answer;
}

/*
 * call-seq: over?
 *
 * Whether its message is finished, or was dropped: nothing that is done about it has an effect.
 */
static VALUE over(VALUE self) {
    return get(self)->sub_key ? Qfalse : Qtrue;
}

/*
 * call-seq: give_up!
 *
 * From now on its message is not worked on, but given up.
 */
static VALUE give_up(VALUE self) {
    struct failure *failure = get(self);
    if (failure->sub_key && !failure->giving_up) {
        failure->giving_up = true;
        manager_of(failure->manager)->giving_up++;
    }
    return self;
}

/*
 * call-seq: probe?
 *
 * Whether its message runs as the probe of a manager that holds.
 */
static VALUE probe(VALUE self) {
    const struct failure *failure = get(self);
    return failure->sub_key && failure->sub_key->queue.probing ? Qtrue : Qfalse;
}

/*
 * call-seq: sub_key_id
 *
 * A number that is the same for each message of a sub key, and hardly ever the same for two.
 */
static VALUE sub_key_id(VALUE self) {
    const struct failure *failure = get(self);
    return failure->sub_key ? ST2FIX(failure->sub_key->keyed.hash) : INT2FIX(0);
}

/*
 * call-seq: resume(failure, verdict)
 *
 * What becomes of a message that is kept (see verdict.h). Returns false when it is over: it was dropped.
 */
static VALUE resume(VALUE self, VALUE object, VALUE value) {
    struct manager *manager = manager_get(self);
    struct failure *failure = get(object);
    struct verdict verdict = verdict_of(value);
    if (!failure->sub_key) {
        return Qfalse;
    }
    if (!failure->kept) {
        RB_OBJ_WRITE(object, &failure->answer, value);
        return Qtrue;
    }
    failure->kept = false;
    verdict_carry_out(manager, failure->sub_key->queue.running, &verdict);
    manager_progress(manager);
    RB_GC_GUARD(value);
    return Qtrue;
}

/*
 * Document-class: WorkShaper::Failure
 *
 * What is known of a message whose work failed: an argument of give_up. See lib/work_shaper/failure.rb.
 */

void init_failure(VALUE work_shaper, VALUE manager_class) {
    failure_class = rb_define_class_under(work_shaper, "Failure", rb_cObject);
    rb_gc_register_mark_object(failure_class);
    rb_define_alloc_func(failure_class, allocate);
    rb_undef_method(failure_class, "initialize_copy");
    rb_define_method(failure_class, "over?", over, 0);
    rb_define_method(failure_class, "give_up!", give_up, 0);
    rb_define_method(failure_class, "probe?", probe, 0);
    rb_define_method(failure_class, "sub_key_id", sub_key_id, 0);
    rb_define_private_method(manager_class, "resume", resume, 2);
}
