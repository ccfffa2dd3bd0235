/*
 * room - which callers are blocked because it is full, and in which order they go in.
 *
 * A caller that finds no room stands in the line of its sub key; the first in that line also stands in the flight line,
 * that of the whole manager, if all it lacks is room in flight. Only the first of a sub key's line goes in, when it is
 * the first in the flight line, too, or that has room for all in it. Newcomers stand behind those who are there; so
 * messages of one sub key go in in the order of their enqueue calls.
 */
#ifndef WORK_SHAPER_MANAGER_ROOM_H
#define WORK_SHAPER_MANAGER_ROOM_H

#include "../core/list.h"
#include "../core/scheduler.h"
#include "waiter.h"

#include <stdbool.h>

struct manager;
struct sub_key;

struct room {
    struct list flight_line; /* the first of their sub keys' lines, if all they lack is room in flight */
    uint32_t flight_length;  /* of that line */
};

/* A caller that stands in line. */
struct blocked {
    struct waiter waiter;
    struct list link;        /* the ring of its sub key's line */
    struct list flight_link; /* in the flight line; a list of its own while it is not */
    struct sub_key *sub_key; /* kept alive */
};

/*
 * room_init - Nobody is blocked.
 */
void room_init(struct room *room);

/*
 * room_left - Whether there is room for a message on this sub key (NULL: one of which nothing is known), if so many
 * others go in before it.
 */
enum room_left room_left(const struct manager *manager, const struct sub_key *sub_key, uint32_t ahead);

/*
 * room_for_newcomer - Whether a message that has just come may go in, on this sub key (NULL: one of which nothing is
 * known).
 */
enum room_left room_for_newcomer(const struct manager *manager, const struct sub_key *sub_key);

/*
 * room_enter_line - Stands at the end of its sub key's line.
 */
void room_enter_line(struct blocked *blocked);

/*
 * room_first_in_line - Whether its turn has come: there is room, and nobody is ahead of it.
 */
bool room_first_in_line(const struct blocked *blocked);

/*
 * room_leave_line - Leaves the line, whether it went in or not. Wakes nobody and frees nothing, since the garbage
 * collector may be the caller.
 */
void room_leave_line(struct blocked *blocked);

/*
 * room_made - A message of the sub key was taken, or is gone: wakes the first in its line.
 */
void room_made(struct manager *manager, struct sub_key *sub_key);

/*
 * room_freed - Something was finished or taken, and room is awaited: wakes those who wait for room in flight, once
 * there is enough of it or nothing is left to be taken.
 */
void room_freed(struct manager *manager);

/*
 * room_look - Fewer messages may be in flight, or a caller has left a line: wakes the first that waits for room in
 * flight.
 */
void room_look(struct manager *manager);

#endif
