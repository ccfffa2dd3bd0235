/*
 * verdict - what becomes of a message after its work.
 */
#ifndef WORK_SHAPER_MANAGER_VERDICT_H
#define WORK_SHAPER_MANAGER_VERDICT_H

#include <ruby/ruby.h>
#include <stdint.h>

struct manager;
struct item;

enum verdict_kind {
    VERDICT_FINISH, /* its offset is finished */
    VERDICT_RETRY,  /* it runs again after so many seconds; what is behind it on its sub key waits */
    VERDICT_KEEP,   /* no worker needs to have it: Manager#resume will tell */
    VERDICT_STOP,   /* the manager shuts down with the error; its offset is never finished */
    VERDICT_OUTCOME /* finished, in a stream: what its place holds is in `outcome`, see stream.h */
};

/* As the Ruby side says it: true, a number of seconds, nil, an exception, or an Array. */
struct verdict {
    enum verdict_kind kind;
    uint64_t delay; /* in nanoseconds */
    VALUE error;
    VALUE outcome;
};

/*
 * verdict_of - Raises TypeError when the value is none of these.
 */
struct verdict verdict_of(VALUE value);

/*
 * verdict_carry_out - Does what it says to a message that runs and that no worker refers to any more. For one whose
 * partition was revoked, a retry or a stop means nothing: it finishes, without effect. The caller calls
 * manager_progress. Runs no Ruby code.
 */
void verdict_carry_out(struct manager *manager, struct item *item, const struct verdict *verdict);

/*
 * verdict_finish - The same with the verdict of almost every message: its work is done.
 */
void verdict_finish(struct manager *manager, struct item *item);

/*
 * verdict_abandon - Its work was cut off: its offset is never finished, nor are those behind it on its sub key.
 */
void verdict_abandon(struct manager *manager, struct item *item);

#endif
