/*
 * intake - WorkShaper::Intake: whole batches of Kafka messages, straight from the librdkafka that the rdkafka gem has
 * loaded, made into Ruby objects; and the other way, offsets to be committed.
 */
#ifndef WORK_SHAPER_KAFKA_INTAKE_H
#define WORK_SHAPER_KAFKA_INTAKE_H

#include <ruby/ruby.h>

/*
 * init_intake - Defines WorkShaper::Intake.
 */
void init_intake(VALUE work_shaper);

#endif
