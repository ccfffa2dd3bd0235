#include "parker.h"

#include "clock.h"

#include <ruby/ruby.h>
#include <ruby/thread.h>

/* How long a thread waits for the GVL before busy ones give way to it. */
#define PATIENCE (20 * NANOSECONDS_PER_MILLISECOND)

static void turnstile_set(struct turnstile *turnstile, uint64_t impatient_at) {
    atomic_store_explicit(&turnstile->impatient_at, impatient_at, memory_order_relaxed);
}

void turnstile_give_way(const struct turnstile *turnstile) {
    uint64_t impatient_at = atomic_load_explicit(&turnstile->impatient_at, memory_order_relaxed);
    if (impatient_at && clock_nanoseconds() >= impatient_at) {
        rb_thread_schedule();
    }
}

void parker_init(struct parker *parker, struct turnstile *turnstile) {
    *parker = (struct parker){.turnstile = turnstile};
    pthread_mutex_init(&parker->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifdef HAVE_PTHREAD_CONDATTR_SETCLOCK
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&parker->condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

void parker_destroy(struct parker *parker) {
    pthread_cond_destroy(&parker->condition);
    pthread_mutex_destroy(&parker->mutex);
}

static struct timespec timespec_of(uint64_t nanoseconds) {
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / NANOSECONDS_PER_SECOND),
                             .tv_nsec = (long)(nanoseconds % NANOSECONDS_PER_SECOND)};
}

/* no GVL. Waits for a signal, no longer than until the deadline; may return early. */
static void wait_until(struct parker *parker) {
    if (parker->deadline == NEVER) {
        pthread_cond_wait(&parker->condition, &parker->mutex);
        return;
    }
#if defined(HAVE_PTHREAD_CONDATTR_SETCLOCK)
    struct timespec until = timespec_of(parker->deadline);
    pthread_cond_timedwait(&parker->condition, &parker->mutex, &until);
#else
    uint64_t now = clock_nanoseconds();
    uint64_t left = parker->deadline > now ? parker->deadline - now : 0;
#ifdef HAVE_PTHREAD_COND_TIMEDWAIT_RELATIVE_NP
    struct timespec timeout = timespec_of(left);
    pthread_cond_timedwait_relative_np(&parker->condition, &parker->mutex, &timeout);
#else
    struct timespec until = timespec_of(clock_read(CLOCK_REALTIME) + left);
    pthread_cond_timedwait(&parker->condition, &parker->mutex, &until);
#endif
#endif
}

static bool deadline_passed(uint64_t deadline) {
    return deadline != NEVER && clock_nanoseconds() >= deadline;
}

/* no GVL */
static void *sleep_without_gvl(void *argument) {
    struct parker *parker = argument;
    pthread_mutex_lock(&parker->mutex);
    while (!parker->token && !parker->interrupted && !deadline_passed(parker->deadline)) {
        wait_until(parker);
    }
    pthread_mutex_unlock(&parker->mutex);
    if (parker->turnstile) {
        turnstile_set(parker->turnstile, clock_nanoseconds() + PATIENCE);
    }
    return parker; /* tells that it ran: see rb_thread_call_without_gvl2 */
}

/* any. Ruby's unblock function: ends the sleep, which is not to say that the thread must die. */
static void interrupt(void *argument) {
    struct parker *parker = argument;
    pthread_mutex_lock(&parker->mutex);
    parker->interrupted = true;
    pthread_cond_signal(&parker->condition);
    pthread_mutex_unlock(&parker->mutex);
}

bool parker_park(struct parker *parker, uint64_t deadline) {
    for (;;) {
        rb_thread_check_ints();
        if (parker->token) {
            parker->token = false;
            return true;
        }
        if (deadline_passed(deadline)) {
            return false;
        }
        /* Before the sleep, with the GVL: an interrupt that comes before its first lock must not be lost. */
        parker->interrupted = false;
        parker->deadline = deadline;
        bool slept = rb_thread_call_without_gvl2(sleep_without_gvl, parker, interrupt, parker) != NULL;
        if (slept && parker->turnstile) {
            turnstile_set(parker->turnstile, 0);
        }
    }
}

void parker_unpark(struct parker *parker) {
    pthread_mutex_lock(&parker->mutex);
    parker->token = true;
    pthread_cond_signal(&parker->condition);
    pthread_mutex_unlock(&parker->mutex);
}
