/*
 * intake - WorkShaper::Intake: whole batches of Kafka messages, straight from the librdkafka that the rdkafka gem has
 * loaded, made into Ruby objects; and the other way, offsets to be committed (offsets.h).
 */
#ifndef WORK_SHAPER_KAFKA_INTAKE_H
#define WORK_SHAPER_KAFKA_INTAKE_H

#include "destruction.h"
#include "group_watch.h"
#include "librdkafka.h"

#include <pthread.h>
#include <ruby/ruby.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The most messages that one call takes. */
#define INTAKE_CAPACITY 1000

struct intake {
    struct librdkafka library;
    struct group_watch *watch;       /* NULL: there is no client to be watched yet, or none any more */
    rd_kafka_t *client;              /* NULL: not opened yet, or its destruction has begun */
    rd_kafka_queue_t *queue;         /* NULL: not opened, or closed */
    struct destruction *destruction; /* of the client; NULL: not begun, or over */
    rd_kafka_message_t *batch[INTAKE_CAPACITY];
    size_t length;           /* of the batch: messages that are still to be destroyed */
    size_t largest;          /* what the largest message of the last batch weighed */
    bool taking;             /* some thread is inside take */
    atomic_bool interrupted; /* take is to return, whether messages come or not */
    pthread_mutex_t lock;    /* for `prepared`, which is also used without the GVL; nobody waits inside */
    rd_kafka_topic_partition_list_t *prepared; /* to be committed with the coordinator's next answer, or NULL */
};

/*
 * intake_of - The intake of an Intake.
 */
struct intake *intake_of(VALUE self);

/*
 * open_intake - The same; raises Error when it is not open, which may run Ruby code.
 */
struct intake *open_intake(VALUE self);

/*
 * init_intake - Defines WorkShaper::Intake.
 */
void init_intake(VALUE work_shaper);

#endif
