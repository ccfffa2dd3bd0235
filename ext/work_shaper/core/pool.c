#include "pool.h"

#include <stdint.h>
#include <stdlib.h>

/* A little under two pages, so that malloc's own header does not push a slab over them. */
#define SLAB_BYTES ((size_t)8192 - 64)
/* 256 KiB: what the default limits make use of. */
#define KEPT_SLABS 32

struct cell {
    struct pool_slab *slab; /* whose cell it is */
    struct cell *next_free; /* the payload begins here; a link only while the cell is free */
};

struct pool_slab {
    struct pool_slab *next, *previous; /* among the open slabs */
    struct cell *free;                 /* cells that were released */
    size_t used;                       /* cells in use */
    size_t carved;                     /* cells handed out at least once; beyond them untouched memory */
};

#define PAYLOAD_OFFSET offsetof(struct cell, next_free)

void pool_init(struct pool *pool, size_t size) {
    size_t payload = size < sizeof(struct cell *) ? sizeof(struct cell *) : size;
    size_t unit = sizeof(uint64_t);
    *pool = (struct pool){.cell_size = (PAYLOAD_OFFSET + payload + unit - 1) / unit * unit};
    pool->cells_per_slab = (SLAB_BYTES - sizeof(struct pool_slab)) / pool->cell_size;
}

static void open_slab(struct pool *pool, struct pool_slab *slab) {
    slab->previous = NULL;
    slab->next = pool->open;
    if (pool->open) {
        pool->open->previous = slab;
    }
    pool->open = slab;
}

static void close_slab(struct pool *pool, struct pool_slab *slab) {
    if (slab->previous) {
        slab->previous->next = slab->next;
    } else {
        pool->open = slab->next;
    }
    if (slab->next) {
        slab->next->previous = slab->previous;
    }
}

static void free_slab(struct pool *pool, struct pool_slab *slab) {
    close_slab(pool, slab);
    free(slab);
    pool->slabs--;
    pool->empty--;
    pool->freed++;
}

void pool_destroy(struct pool *pool) {
    struct pool_slab *slab = pool->open;
    while (slab) {
        struct pool_slab *next = slab->next;
        free(slab);
        slab = next;
    }
    pool->open = NULL;
    pool->slabs -= pool->empty;
    pool->empty = 0;
}

/* A slab with a free cell, or NULL. */
static struct pool_slab *find_slab(struct pool *pool) {
    if (pool->open) {
        return pool->open;
    }
    struct pool_slab *slab = malloc(SLAB_BYTES);
    if (!slab) {
        return NULL;
    }
    *slab = (struct pool_slab){0};
    pool->slabs++;
    pool->empty++;
    open_slab(pool, slab);
    return slab;
}

static struct cell *take_cell(const struct pool *pool, struct pool_slab *slab) {
    struct cell *cell = slab->free;
    if (cell) {
        slab->free = cell->next_free;
        return cell;
    }
    cell = (struct cell *)((char *)(slab + 1) + slab->carved * pool->cell_size);
    cell->slab = slab;
    slab->carved++;
    return cell;
}

void *pool_acquire(struct pool *pool) {
    struct pool_slab *slab = find_slab(pool);
    if (!slab) {
        return NULL;
    }
    struct cell *cell = take_cell(pool, slab);
    if (slab->used == 0) {
        pool->empty--;
    }
    slab->used++;
    if (slab->used == pool->cells_per_slab) {
        close_slab(pool, slab);
    }
    return &cell->next_free;
}

void pool_release(struct pool *pool, void *payload) {
    struct cell *cell = (struct cell *)((char *)payload - PAYLOAD_OFFSET);
    struct pool_slab *slab = cell->slab;
    if (slab->used == pool->cells_per_slab) {
        open_slab(pool, slab);
    }
    cell->next_free = slab->free;
    slab->free = cell;
    slab->used--;
    if (slab->used > 0) {
        return;
    }
    pool->empty++;
    if (pool->empty > KEPT_SLABS) {
        free_slab(pool, slab);
    }
}

size_t pool_bytes(const struct pool *pool) {
    return pool->slabs * SLAB_BYTES;
}
