#include "allocation.h"

#undef malloc
#undef realloc

long allocations_left = -1;

static int exhausted(void) {
    if (allocations_left < 0) {
        return 0;
    }
    if (allocations_left == 0) {
        return 1;
    }
    allocations_left--;
    return 0;
}

void *test_malloc(size_t size) {
    return exhausted() ? NULL : malloc(size);
}

void *test_realloc(void *memory, size_t size) {
    return exhausted() ? NULL : realloc(memory, size);
}
