#include "pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

/* A little under two pages, so that malloc's own header does not push a slab over them. */
#define SLAB_BYTES ((size_t)8192 - 64)
/* Empty slabs that are kept for the next burst: 256 KiB, some 4,000 messages. */
#define KEPT_SLABS 32

/* Of payloads: enough for every type that is made of pointers and integers. Not alignof(uint64_t), which is 4 on
 * i386. */
#define ALIGNMENT (sizeof(void *) > sizeof(uint64_t) ? sizeof(void *) : sizeof(uint64_t))

struct cell {
    struct pool_slab *slab;                    /* whose cell it is */
    alignas(ALIGNMENT) struct cell *next_free; /* the payload begins here; a link only while the cell is free */
};

struct pool_slab {
    struct list open;  /* its link among the open slabs */
    struct cell *free; /* cells that were released */
    size_t used;       /* cells in use */
    size_t carved;     /* cells handed out at least once; the memory beyond is untouched */
    alignas(ALIGNMENT) unsigned char cells[];
};

#define PAYLOAD_OFFSET offsetof(struct cell, next_free)
#define CELLS_OFFSET offsetof(struct pool_slab, cells)

_Static_assert(PAYLOAD_OFFSET % ALIGNMENT == 0 && CELLS_OFFSET % ALIGNMENT == 0, "payloads are aligned in a slab");
_Static_assert(alignof(max_align_t) % ALIGNMENT == 0, "malloc aligns a slab");
_Static_assert(sizeof(void *) != 8 || PAYLOAD_OFFSET == 8, "a cell costs one pointer");

void pool_init(struct pool *pool, size_t size) {
    size_t payload = size < sizeof(struct cell *) ? sizeof(struct cell *) : size;
    *pool = (struct pool){.cell_size = (PAYLOAD_OFFSET + payload + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
    list_init(&pool->open);
    pool->cells_per_slab = (SLAB_BYTES - CELLS_OFFSET) / pool->cell_size;
}

static void free_slab(struct pool *pool, struct pool_slab *slab) {
    list_remove(&slab->open);
    free(slab);
    pool->slabs--;
    pool->empty--;
    pool->freed++;
}

void pool_destroy(struct pool *pool) {
    struct list *link = pool->open.next;
    while (link != &pool->open) {
        struct list *next = link->next;
        free(LIST_ENTRY(link, struct pool_slab, open));
        link = next;
    }
    list_init(&pool->open);
    pool->slabs -= pool->empty;
    pool->empty = 0;
}

/* A slab with a free cell, or NULL. */
static struct pool_slab *find_slab(struct pool *pool) {
    if (!list_empty(&pool->open)) {
        return LIST_ENTRY(pool->open.next, struct pool_slab, open);
    }
    struct pool_slab *slab = malloc(SLAB_BYTES);
    if (!slab) {
        return NULL;
    }
    *slab = (struct pool_slab){0};
    pool->slabs++;
    pool->empty++;
    list_prepend(&pool->open, &slab->open);
    return slab;
}

static struct cell *take_cell(const struct pool *pool, struct pool_slab *slab) {
    struct cell *cell = slab->free;
    if (cell) {
        slab->free = cell->next_free;
        return cell;
    }
    cell = (struct cell *)(void *)(slab->cells + slab->carved * pool->cell_size);
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
        list_remove(&slab->open);
    }
    return &cell->next_free;
}

void pool_release(struct pool *pool, void *payload) {
    struct cell *cell = (struct cell *)((char *)payload - PAYLOAD_OFFSET);
    struct pool_slab *slab = cell->slab;
    if (slab->used == pool->cells_per_slab) {
        list_prepend(&pool->open, &slab->open);
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
