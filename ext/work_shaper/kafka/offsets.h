/*
 * offsets - the half of WorkShaper::Intake that is about offsets: what is to be committed, and where partitions end.
 */
#ifndef WORK_SHAPER_KAFKA_OFFSETS_H
#define WORK_SHAPER_KAFKA_OFFSETS_H

#include "intake.h"

/*
 * forget_prepared - Nothing is to be committed with the coordinator's next answer any more. Runs no Ruby code.
 */
void forget_prepared(struct intake *intake);

/*
 * init_offsets - Defines the methods of WorkShaper::Intake that are about offsets.
 */
void init_offsets(VALUE intake_class);

#endif
