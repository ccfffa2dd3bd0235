#include "destruction.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

struct destruction {
    void (*destroy)(rd_kafka_t *);
    rd_kafka_t *client;
    atomic_bool over;
    atomic_int owners; /* its thread, and who waits for it */
};

void destruction_leave(struct destruction *destruction) {
    if (atomic_fetch_sub(&destruction->owners, 1) == 1) {
        free(destruction);
    }
}

bool destruction_is_over(struct destruction *destruction) {
    return atomic_load(&destruction->over);
}

static void *destroy(void *argument) {
    struct destruction *destruction = argument;
    destruction->destroy(destruction->client);
    atomic_store(&destruction->over, true);
    destruction_leave(destruction);
    return NULL;
}

/* Nobody joins the thread. Returns 0, or why it could not be started. */
static int start_detached(void *(*start)(void *), void *argument) {
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for Ruby's threads */
    int error = pthread_create(&thread, NULL, start, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) {
        pthread_detach(thread);
    }
    return error;
}

struct destruction *destruction_begin(const struct librdkafka *library, rd_kafka_t *client) {
    struct destruction *destruction = malloc(sizeof *destruction);
    if (!destruction) {
        return NULL;
    }
    destruction->destroy = library->destroy;
    destruction->client = client;
    atomic_init(&destruction->over, false);
    atomic_init(&destruction->owners, 2);
    if (start_detached(destroy, destruction)) {
        free(destruction);
        return NULL;
    }
    return destruction;
}
