/*
 * destruction - The end of a librdkafka client, on a native thread: librdkafka's own call waits until all its threads
 * have ended, without a time limit, and some never do (docs/decisions/082). A thread of Ruby's could not do it, for
 * Ruby waits at its end for each of those.
 *
 * Runs no Ruby code; may be used without the GVL, by one thread at a time.
 */
#ifndef WORK_SHAPER_KAFKA_DESTRUCTION_H
#define WORK_SHAPER_KAFKA_DESTRUCTION_H

#include "librdkafka.h"

#include <stdbool.h>

struct destruction;

/*
 * destruction_begin - Starts to destroy a client, which must not be used any more.
 * Returns NULL when there is no memory or no thread for it: then nothing has happened.
 */
struct destruction *destruction_begin(const struct librdkafka *library, rd_kafka_t *client);

/*
 * destruction_is_over - Whether the client and all its threads are gone.
 */
bool destruction_is_over(struct destruction *destruction);

/*
 * destruction_leave - Lets go of it, whether it is over or not.
 */
void destruction_leave(struct destruction *destruction);

#endif
