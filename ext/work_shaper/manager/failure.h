/*
 * failure - WorkShaper::Failure: what is known of a message whose work failed, until it is over. What the Ruby side
 * keeps in it (the error, the attempts) is its own business; here is which message it belongs to.
 *
 * A sub key has one at most: only what runs on it, or waits first, can have been tried before.
 */
#ifndef WORK_SHAPER_MANAGER_FAILURE_H
#define WORK_SHAPER_MANAGER_FAILURE_H

#include <ruby/ruby.h>
#include <stdbool.h>

struct manager;
struct sub_key;

/*
 * failure_of - The failure of what runs on a sub key, made if there is none. Raises NoMemoryError.
 */
VALUE failure_of(struct manager *manager, struct sub_key *sub_key);

/*
 * failure_over - The message that failed is finished or dropped, its failure with it; there must be one. Runs no Ruby
 * code.
 */
void failure_over(struct sub_key *sub_key);

/*
 * failure_giving_up - Whether its message is not to be worked on any more, but given up.
 */
bool failure_giving_up(VALUE object);

/*
 * failure_keep - Nobody runs its message from now on: a verdict will come from elsewhere. Returns that verdict if it
 * came already, else Qundef.
 */
VALUE failure_keep(VALUE object);

/*
 * init_failure - Defines the class, and what a manager does with its objects.
 */
void init_failure(VALUE work_shaper, VALUE manager_class);

#endif
