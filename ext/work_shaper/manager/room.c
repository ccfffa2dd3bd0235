#include "room.h"

#include "manager.h"

void room_init(struct room *room) {
    list_init(&room->flight_line);
}

/* While `ack` lags behind, or hangs, what waits for it has no more room than what is unfinished has. */
static bool acks_lag(const struct manager *manager) {
    return manager->roster.acknowledging && scheduler_finished(&manager->scheduler) >= manager->scheduler.max_in_flight;
}

enum room_left room_left(const struct manager *manager, const struct sub_key *sub_key, uint32_t ahead) {
    enum room_left left = scheduler_room(&manager->scheduler, sub_key ? &sub_key->queue : NULL, ahead);
    return left == ROOM && acks_lag(manager) ? BACKLOG_FULL : left;
}

enum room_left room_for_newcomer(const struct manager *manager, const struct sub_key *sub_key) {
    if (sub_key && sub_key->line) {
        return SUB_KEY_FULL;
    }
    return room_left(manager, sub_key, manager->room.flight_length);
}

/* The lines */

static bool in_flight_line(const struct blocked *blocked) {
    return !list_empty(&blocked->flight_link);
}

/* A caller that is first on its sub key and lacks only room in flight joins the flight line, at the end. */
static void update_flight_line(struct blocked *blocked) {
    struct manager *manager = blocked->waiter.manager;
    if (blocked->sub_key->line == blocked && !in_flight_line(blocked) &&
        blocked->sub_key->queue.waiting < manager->scheduler.max_in_queue) {
        list_append(&manager->room.flight_line, &blocked->flight_link);
        manager->room.flight_length++;
        manager->roster.room_awaited++;
    }
}

/* How many of the flight line go in before it: none when it is the first there. */
static uint32_t ahead_of(const struct blocked *blocked) {
    const struct room *room = &blocked->waiter.manager->room;
    bool first = room->flight_line.next == &blocked->flight_link;
    return first ? 0 : room->flight_length - in_flight_line(blocked);
}

bool room_first_in_line(const struct blocked *blocked) {
    return blocked->sub_key->line == blocked &&
           room_left(blocked->waiter.manager, blocked->sub_key, ahead_of(blocked)) == ROOM;
}

void room_enter_line(struct blocked *blocked) {
    struct sub_key *sub_key = blocked->sub_key;
    list_init(&blocked->link);
    list_init(&blocked->flight_link);
    if (sub_key->line) {
        list_append(&sub_key->line->link, &blocked->link);
    } else {
        sub_key->line = blocked;
    }
    update_flight_line(blocked);
}

void room_leave_line(struct blocked *blocked) {
    struct manager *manager = blocked->waiter.manager;
    struct sub_key *sub_key = blocked->sub_key;
    struct list *next = blocked->link.next;
    if (in_flight_line(blocked)) {
        list_remove(&blocked->flight_link);
        manager->room.flight_length--;
        manager->roster.room_awaited--;
    }
    if (sub_key->line == blocked) {
        sub_key->line = next == &blocked->link ? NULL : LIST_ENTRY(next, struct blocked, link);
    }
    list_remove(&blocked->link);
    if (sub_key->line) {
        update_flight_line(sub_key->line);
    }
}

/* Whose turn it is */

static void call(struct blocked *blocked) {
    if (!blocked->waiter.parker.token && room_first_in_line(blocked)) {
        parker_unpark(&blocked->waiter.parker);
    }
}

void room_look(struct manager *manager) {
    struct list *first = list_first(&manager->room.flight_line);
    if (first) {
        call(LIST_ENTRY(first, struct blocked, flight_link));
    }
}

/* To let in one message for each that is finished would cost a switch of threads each time. */
static bool worth_a_switch(const struct scheduler *scheduler) {
    uint32_t quarter = (scheduler->max_in_flight + 3) / 4;
    return !scheduler_ready(scheduler) || scheduler_unfinished(scheduler) + quarter <= scheduler->max_in_flight;
}

/* Whether all who can go on were called already: they come one by one. */
static bool called_already(const struct manager *manager) {
    const struct list *first = manager->room.flight_line.next;
    return manager->roster.room_awaited == manager->room.flight_length &&
           LIST_ENTRY(first, struct blocked, flight_link)->waiter.parker.token;
}

void room_freed(struct manager *manager) {
    if (manager->stream || called_already(manager) || !worth_a_switch(&manager->scheduler)) {
        return;
    }
    room_look(manager);
    if (manager->roster.room_awaited > manager->room.flight_length) {
        waiters_look(manager); /* who waits elsewhere for room */
    }
}

void room_made(struct manager *manager, struct sub_key *sub_key) {
    if (sub_key->line) {
        update_flight_line(sub_key->line);
        call(sub_key->line);
    }
}
