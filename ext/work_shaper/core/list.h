/*
 * list - a doubly linked list whose links are inside its members: nothing here allocates or can fail.
 *
 * It is circular: a head and the links of its members are of the same kind; an empty head and a link in no list point
 * to themselves. Hence they must not move once initialised.
 */
#ifndef WORK_SHAPER_CORE_LIST_H
#define WORK_SHAPER_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous; /* of a head: the first and the last member */
};

/*
 * LIST_ENTRY - The struct that has the link as its `member`; the link must not be NULL.
 */
#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/*
 * list_each - Goes through a list with the pointer `link`, first to last. No member may be removed meanwhile.
 */
#define list_each(link, head) for ((link) = (head)->next; (link) != (head); (link) = (link)->next)

/*
 * list_init - Makes the head of an empty list, or a link in no list.
 */
static inline void list_init(struct list *list) {
    list->next = list->previous = list;
}

/*
 * list_empty - Whether a head has no members, or a link is in no list.
 */
static inline bool list_empty(const struct list *list) {
    return list->next == list;
}

/*
 * list_append - Adds a link that is in no list to the end.
 */
static inline void list_append(struct list *list, struct list *link) {
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

/*
 * list_prepend - Adds a link that is in no list to the beginning.
 */
static inline void list_prepend(struct list *list, struct list *link) {
    list_append(list->next, link); /* in a circle, the end seen from the first member is before it */
}

/*
 * list_remove - Takes a link out of whichever list it is in, if any.
 */
static inline void list_remove(struct list *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/*
 * list_first - The first link, or NULL when the list is empty.
 */
static inline struct list *list_first(const struct list *list) {
    return list_empty(list) ? NULL : list->next;
}

/*
 * list_splice - Moves all of one list to the end of another, in order. O(1).
 */
static inline void list_splice(struct list *list, struct list *from) {
    if (list_empty(from)) {
        return;
    }
    from->next->previous = list->previous;
    list->previous->next = from->next;
    from->previous->next = list;
    list->previous = from->previous;
    list_init(from);
}

#endif
