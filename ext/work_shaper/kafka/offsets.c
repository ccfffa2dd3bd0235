#include "offsets.h"

#include "../ruby/clock.h"

#include <ruby/thread.h>
#include <stdlib.h>
#include <string.h>

#define ASYNCHRONOUS 1
/* How often the coordinator is asked again until a commit can go ahead of a request to join. */
#define TRIALS 5

static void replace_prepared(struct intake *intake, rd_kafka_topic_partition_list_t *list) {
    pthread_mutex_lock(&intake->lock);
    rd_kafka_topic_partition_list_t *before = intake->prepared;
    intake->prepared = list;
    pthread_mutex_unlock(&intake->lock);
    if (before) {
        intake->library.topic_partition_list_destroy(before);
    }
}

void forget_prepared(struct intake *intake) {
    replace_prepared(intake, NULL);
}

/* Something newer is about to be committed of this partition. */
static void leave_out_of_prepared(struct intake *intake, const char *topic, int32_t partition) {
    pthread_mutex_lock(&intake->lock);
    if (intake->prepared) {
        intake->library.topic_partition_list_del(intake->prepared, topic, partition);
    }
    pthread_mutex_unlock(&intake->lock);
}

/*
 * call-seq: store(topic, partition, offset, metadata)
 *
 * Notes the offset from which the group is to continue, for librdkafka's next commit, and the text beside it, or nil.
 * What is prepared of the partition is not committed any more. Keeps the GVL: it only takes locks, for no longer than
 * a list is copied, and beside busy Ruby threads it would be expensive to get the GVL back.
 *
 * Returns librdkafka's error code, 0 when it is stored.
 */
static VALUE store(VALUE self, VALUE topic, VALUE partition, VALUE offset, VALUE metadata) {
    struct intake *intake = open_intake(self);
    const struct librdkafka *library = &intake->library;
    const char *name = StringValueCStr(topic);
    int32_t number = NUM2INT(partition);
    int64_t next = NUM2LL(offset);
    size_t metadata_size = NIL_P(metadata) ? 0 : (size_t)RSTRING_LEN(StringValue(metadata));
    leave_out_of_prepared(intake, name, number);
    rd_kafka_topic_partition_list_t *list = library->topic_partition_list_new(1);
    rd_kafka_topic_partition_t *entry = library->topic_partition_list_add(list, name, number);
    entry->offset = next;
    entry->metadata = metadata_size ? malloc(metadata_size) : NULL; /* the list frees it */
    if (entry->metadata) {
        memcpy(entry->metadata, RSTRING_PTR(metadata), metadata_size);
        entry->metadata_size = metadata_size;
    }
    int error = library->offsets_store(intake->client, list);
    if (!error) {
        error = entry->err;
    }
    library->topic_partition_list_destroy(list);
    return INT2NUM(error);
}

static rd_kafka_topic_partition_list_t *list_at(VALUE address) {
    return (rd_kafka_topic_partition_list_t *)NUM2SIZET(address);
}

/*
 * call-seq: prepare_commit(list)
 *
 * Has offsets committed by the next call of `committed`; but not those of partitions of which something is stored
 * before.
 *
 * list: the address of librdkafka's list of them, which is copied.
 */
static VALUE prepare_commit(VALUE self, VALUE list) {
    struct intake *intake = open_intake(self);
    replace_prepared(intake, intake->library.topic_partition_list_copy(list_at(list)));
    return Qnil;
}

/*
 * call-seq: forget_commit
 *
 * Has nothing that is prepared committed any more.
 */
static VALUE forget_commit(VALUE self) {
    forget_prepared(intake_of(self));
    return Qnil;
}

struct question {
    struct intake *intake;
    rd_kafka_topic_partition_list_t *list;
    uint64_t deadline; /* nanoseconds of the monotonic clock */
    int error;         /* librdkafka's, or 0 */
    bool committed;
};

static int ask(const struct question *question, rd_kafka_topic_partition_list_t *list) {
    uint64_t now = clock_nanoseconds();
    uint64_t left = question->deadline > now ? question->deadline - now : 0;
    return question->intake->library.committed(question->intake->client, list,
                                               (int)(left / NANOSECONDS_PER_MILLISECOND));
}

/* With the lock. */
static bool anything_left(const struct intake *intake) {
    return intake->prepared && intake->prepared->cnt > 0;
}

static bool anything_prepared(struct intake *intake) {
    pthread_mutex_lock(&intake->lock);
    bool any = anything_left(intake);
    pthread_mutex_unlock(&intake->lock);
    return any;
}

/* Commits what is prepared, unless the client may have begun to join. */
static bool commit_if_quiet(struct intake *intake, uint64_t since) {
    bool committed = false;
    pthread_mutex_lock(&intake->lock);
    if (anything_left(intake) && group_watch_quiet(intake->watch, since)) {
        committed = !intake->library.commit(intake->client, intake->prepared, ASYNCHRONOUS);
    }
    pthread_mutex_unlock(&intake->lock);
    return committed;
}

/* After the first answer, asks for one of the partitions until what is prepared is committed. */
static void commit_once_quiet(struct question *question, uint64_t since) {
    struct intake *intake = question->intake;
    rd_kafka_topic_partition_list_t *one = intake->library.topic_partition_list_new(1);
    intake->library.topic_partition_list_add(one, question->list->elems[0].topic, question->list->elems[0].partition);
    for (int i = 0; i < TRIALS && !question->committed && anything_prepared(intake); i++) {
        uint64_t began = clock_nanoseconds();
        if (ask(question, one)) {
            break;
        }
        question->committed = commit_if_quiet(intake, since);
        since = began;
    }
    intake->library.topic_partition_list_destroy(one);
}

/* Without the GVL, which may take a tenth of a second to get back: in that time the client might begin to join. */
static void *ask_and_commit(void *argument) {
    struct question *question = argument;
    struct intake *intake = question->intake;
    uint64_t began = clock_nanoseconds();
    question->error = ask(question, question->list);
    if (!question->error && question->list->cnt > 0) {
        commit_once_quiet(question, began);
    }
    forget_prepared(intake);
    return NULL;
}

/*
 * call-seq: committed(list, timeout_ms)
 *
 * Asks the coordinator what is committed of the partitions. Then commits what is prepared, without waiting for the
 * answer to that, unless the client may have begun to join its group (group_watch.h): which is known when the
 * coordinator has answered once more. What is not committed then is forgotten. The client must stay open meanwhile.
 * Cannot be interrupted.
 *
 * list: the address of librdkafka's list of them, which gets the offsets.
 * Returns librdkafka's error code, 0 when all is well, and whether anything was committed.
 */
static VALUE committed(VALUE self, VALUE list, VALUE timeout_ms) {
    struct question question = {.intake = open_intake(self),
                                .list = list_at(list),
                                .deadline = clock_nanoseconds() + NUM2UINT(timeout_ms) * NANOSECONDS_PER_MILLISECOND};
    rb_thread_call_without_gvl(ask_and_commit, &question, NULL, NULL);
    RB_GC_GUARD(self);
    return rb_assoc_new(INT2NUM(question.error), question.committed ? Qtrue : Qfalse);
}

/*
 * call-seq: end_offset(topic, partition)
 *
 * The offset after the partition's last message, as the last fetch reported it; nil when none has.
 */
static VALUE end_offset(VALUE self, VALUE topic, VALUE partition) {
    const struct intake *intake = open_intake(self);
    int64_t low, high;
    int error =
        intake->library.get_watermark_offsets(intake->client, StringValueCStr(topic), NUM2INT(partition), &low, &high);
    return error || high < 0 ? Qnil : LL2NUM(high);
}

void init_offsets(VALUE intake_class) {
    rb_define_method(intake_class, "store", store, 4);
    rb_define_method(intake_class, "prepare_commit", prepare_commit, 1);
    rb_define_method(intake_class, "forget_commit", forget_commit, 0);
    rb_define_method(intake_class, "committed", committed, 2);
    rb_define_method(intake_class, "end_offset", end_offset, 2);
}
