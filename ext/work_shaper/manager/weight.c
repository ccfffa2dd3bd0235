#include "weight.h"

#include "manager.h"

static void subtract(struct manager *manager, struct partition *partition, uint64_t bytes) {
    partition->weight -= bytes;
    manager->weight.total -= bytes;
}

static void item_over(const struct item *item, void *data) {
    struct manager *manager = data;
    if (!item->tracker->revoked) {
        subtract(manager, partition_of(item->tracker), manager->weight.of((VALUE)item->message));
    }
}

void weight_begin(struct manager *manager, size_t (*of)(VALUE message), uint64_t most) {
    manager->weight = (struct weight){.of = of, .most = most};
    manager->scheduler.over = item_over;
    manager->scheduler.over_data = manager;
}

void weight_add(struct manager *manager, struct partition *partition, VALUE message) {
    if (manager->weight.of) {
        size_t bytes = manager->weight.of(message);
        partition->weight += bytes;
        manager->weight.total += bytes;
        manager->weight.came += bytes;
    }
}

void weight_forget(struct manager *manager, struct partition *partition) {
    subtract(manager, partition, partition->weight);
}
