#include "room.h"

#include "manager.h"

void room_init(struct room *room) {
    list_init(&room->flight_line);
}

static enum room_left room_left(const struct manager *manager, const struct sub_key *sub_key) {
    return scheduler_room(&manager->scheduler, sub_key ? &sub_key->queue : NULL);
}

/* Whether one more may be in flight if so many others go in before it. */
static bool flight_has_room(const struct manager *manager, uint32_t ahead) {
    return manager->scheduler.in_flight + ahead < manager->scheduler.max_in_flight;
}

enum room_left room_for_newcomer(const struct manager *manager, const struct sub_key *sub_key) {
    if (sub_key && sub_key->line) {
        return SUB_KEY_FULL;
    }
    enum room_left left = room_left(manager, sub_key);
    return left == ROOM && !flight_has_room(manager, manager->room.flight_length) ? FLIGHT_FULL : left;
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

/* Whether it may go in as far as the flight line is concerned: it is the first, or there is room for all who are in
 * that line. */
static bool flight_allows(const struct blocked *blocked) {
    const struct manager *manager = blocked->waiter.manager;
    bool first = manager->room.flight_line.next == &blocked->flight_link;
    return flight_has_room(manager, first ? 0 : manager->room.flight_length - in_flight_line(blocked));
}

bool room_first_in_line(const struct blocked *blocked) {
    return blocked->sub_key->line == blocked && flight_allows(blocked) &&
           room_left(blocked->waiter.manager, blocked->sub_key) == ROOM;
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

void room_made(struct manager *manager, struct sub_key *sub_key) {
    if (sub_key->line) {
        update_flight_line(sub_key->line);
        call(sub_key->line);
    }
}
