#include "thread_slot.h"

#include "../ruby/process.h"
#include "../ruby/ruby_thread.h"

void thread_slot_init(struct thread_slot *slot, enum thread_state *state) {
    slot->thread = Qnil;
    slot->state = state;
    parker_init(&slot->parker);
}

void thread_slot_set_state(struct thread_slot *slot, enum thread_state state) {
    *slot->state = state;
    slot->overdue = false;
}

void thread_slot_start(struct thread_slot *slot, VALUE owner, VALUE (*entry)(void *owner)) {
    if (process_ends()) {
        rb_raise(rb_eThreadError, "the process is about to end: no thread can be started");
    }
    if (*slot->state != THREAD_GONE) {
        return; /* others ran meanwhile, and one of them has started it */
    }
    VALUE thread = thread_start(owner, entry);
    RB_OBJ_WRITE(owner, &slot->thread, thread);
    parker_init(&slot->parker);
    thread_slot_set_state(slot, THREAD_COMING);
}

bool thread_slot_wake(struct thread_slot *slot) {
    if (*slot->state != THREAD_PARKED) {
        return false;
    }
    thread_slot_set_state(slot, THREAD_COMING);
    parker_unpark(&slot->parker);
    return true;
}

bool thread_slot_wake_again(struct thread_slot *slot) {
    if (*slot->state != THREAD_COMING || thread_wake(slot->thread)) {
        return true;
    }
    thread_slot_leave(slot);
    return false;
}

bool thread_slot_look(struct thread_slot *slot) {
    bool alive = !slot->overdue || thread_slot_wake_again(slot);
    slot->overdue = *slot->state == THREAD_COMING;
    return alive;
}

void thread_slot_park(struct thread_slot *slot, uint64_t deadline) {
    thread_slot_set_state(slot, THREAD_PARKED);
    parker_park(&slot->parker, deadline);
    thread_slot_set_state(slot, THREAD_BUSY);
}

void thread_slot_leave(struct thread_slot *slot) {
    thread_slot_set_state(slot, THREAD_GONE);
    slot->thread = Qnil;
}
