/*
 * stuck - which work runs for long. The watchdog notes what each worker has when it looks, so the worker need not read
 * the clock for each message; ages are short by up to WATCH_PERIOD.
 */
#ifndef WORK_SHAPER_MANAGER_STUCK_H
#define WORK_SHAPER_MANAGER_STUCK_H

#include <ruby/ruby.h>
#include <stdint.h>

struct manager;

/* What the watchdog saw a worker at. */
struct sighting {
    uint64_t turn;    /* the worker's; 0: none */
    uint64_t since;   /* when it was first seen, in clock_nanoseconds */
    uint64_t warn_at; /* when it is told in the log next, likewise */
};

/*
 * stuck_look - Notes what runs, and tells the log of what has run for stuck_after, and again each time that has
 * doubled. For the acknowledger, since it runs Ruby code. Raises what the thread's interrupts bring.
 */
void stuck_look(struct manager *manager);

/*
 * init_stuck - Defines the methods that tell what runs.
 */
void init_stuck(VALUE manager_class);

#endif
