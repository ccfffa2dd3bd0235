#include "check.h"
#include "core/pool.h"

#include "allocation.h"
#include <string.h>

#define CELLS 8000
#define KEPT_BYTES 262144

static void gives_distinct_cells_that_keep_their_content(size_t size) {
    struct pool pool;
    pool_init(&pool, size);
    unsigned char *cells[CELLS];
    for (int i = 0; i < CELLS; i++) {
        cells[i] = pool_acquire(&pool);
        CHECK(cells[i] != NULL);
        CHECK((uintptr_t)cells[i] % sizeof(uint64_t) == 0 && (uintptr_t)cells[i] % sizeof(void *) == 0);
        memset(cells[i], i % 251, size);
    }
    for (int i = 0; i < CELLS; i++) {
        for (size_t byte = 0; byte < size; byte++) {
            CHECK(cells[i][byte] == i % 251);
        }
    }
    for (int i = 0; i < CELLS; i++) {
        pool_release(&pool, cells[(i * 7919) % CELLS]);
    }
    CHECK(pool_bytes(&pool) <= KEPT_BYTES);
    pool_destroy(&pool);
    CHECK(pool_bytes(&pool) == 0);
}

static void does_not_make_cells_larger_than_they_need_to_be(void) {
    struct pool pool;
    pool_init(&pool, 56);
    CHECK(pool.cell_size == 64); /* also where a pointer has 32 bits */
    pool_init(&pool, 1);
    CHECK(pool.cell_size == 16);
}

static void follows_use_up_and_down(void) {
    struct pool pool;
    pool_init(&pool, 56);
    void *cells[CELLS];
    int held = 0;
    for (int round = 0; round < 20000; round++) {
        int grow = round % 8000 < 4000;
        if (held < CELLS && (grow || !held)) {
            cells[held++] = pool_acquire(&pool);
        } else if (held > 0) {
            int victim = (int)random_below((uint32_t)held);
            pool_release(&pool, cells[victim]);
            cells[victim] = cells[--held];
        }
    }
    while (held > 0) {
        pool_release(&pool, cells[--held]);
    }
    CHECK(pool_bytes(&pool) <= KEPT_BYTES);
    pool_destroy(&pool);
    CHECK(pool_bytes(&pool) == 0);
}

static void says_when_there_is_no_memory(void) {
    struct pool pool;
    pool_init(&pool, 56);
    allocations_left = 0;
    CHECK(pool_acquire(&pool) == NULL);
    CHECK(pool_bytes(&pool) == 0);
    allocations_left = -1;
    void *cell = pool_acquire(&pool);
    CHECK(cell != NULL);
    pool_release(&pool, cell);
    pool_destroy(&pool);
}

int main(void) {
    random_seed(7);
    const size_t sizes[] = {1, 3, 4, 7, 8, 9, 12, 20, 28, 36, 56, 57, 63, 200, 1001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gives_distinct_cells_that_keep_their_content(sizes[i]);
    }
    does_not_make_cells_larger_than_they_need_to_be();
    follows_use_up_and_down();
    says_when_there_is_no_memory();
    return checked("pool");
}
