#include "dropping.h"

#include "manager.h"
#include "supervisor.h"

void dropping_tell(struct manager *manager) {
    drains_look(manager);
    room_look(manager);
    waiters_look(manager);
    supervise(manager);
}

/*
 * call-seq: drop_waiting
 *
 * For a consumer that stops, once nothing more comes in: drops all that waits, of every partition, and leaves alone
 * what runs. What was dropped is never acknowledged, nor is anything above it, and counts as in flight until its
 * partition is revoked; what is finished below is acknowledged. Returns how many messages were dropped.
 */
static VALUE drop_waiting(VALUE self) {
    struct manager *manager = manager_get(self);
    uint64_t dropped = registry_drop_waiting(manager);
    dropping_tell(manager);
    return ULL2NUM(dropped);
}

/*
 * call-seq: drop_waiting_of(partition)
 *
 * The same for one partition, which is about to go, once nothing more of it comes in. 0 when nothing is known of it.
 */
static VALUE drop_waiting_of(VALUE self, VALUE key) {
    struct manager *manager = manager_get(self);
    struct partition *partition = manager_partition(self, key);
    if (!partition) {
        return INT2FIX(0);
    }
    uint64_t dropped = registry_drop_partition(manager, partition);
    dropping_tell(manager);
    return ULL2NUM(dropped);
}

/*
 * call-seq: drop_beyond
 *
 * The same for what waits above the highest offset of its partition that is finished. What waits below goes on, so that
 * what is finished can be acknowledged.
 */
static VALUE drop_beyond(VALUE self) {
    struct manager *manager = manager_get(self);
    uint64_t dropped = registry_drop_beyond(manager);
    dropping_tell(manager);
    return ULL2NUM(dropped);
}

void init_dropping(VALUE manager_class) {
    rb_define_private_method(manager_class, "drop_waiting", drop_waiting, 0);
    rb_define_private_method(manager_class, "drop_waiting_of", drop_waiting_of, 1);
    rb_define_private_method(manager_class, "drop_beyond", drop_beyond, 0);
}
