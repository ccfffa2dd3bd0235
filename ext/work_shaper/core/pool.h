/*
 * pool - cells of one size, carved out of slabs.
 *
 * A slab whose cells are all free goes back to the system, so memory follows use down as well as up. A few are kept, so
 * that a pool that fills and empties in turn does not ask the system each time.
 */
#ifndef WORK_SHAPER_CORE_POOL_H
#define WORK_SHAPER_CORE_POOL_H

#include "list.h"

#include <stddef.h>

struct pool {
    size_t cell_size;      /* bytes of one cell, its header included */
    size_t cells_per_slab; /* how many fit into one slab */
    struct list open;      /* the slabs that have a free cell */
    size_t empty;          /* how many of these have no cell in use */
    size_t slabs;          /* how many slabs are held in all */
    size_t freed;          /* how many have ever been given back to the system */
};

/*
 * pool_init - Makes an empty pool of cells of `size` bytes each, which must not move. Allocates nothing.
 */
void pool_init(struct pool *pool, size_t size);

/*
 * pool_destroy - Frees the slabs that have no cell in use. Every cell must have been released before.
 */
void pool_destroy(struct pool *pool);

/*
 * pool_acquire - Takes a cell, aligned for any pointer or 64-bit integer on every platform, its content undefined.
 *
 * Returns NULL when there is no memory; the pool is then as it was.
 */
void *pool_acquire(struct pool *pool);

/*
 * pool_release - Gives back a cell (its payload) that came from pool_acquire of the same pool.
 */
void pool_release(struct pool *pool, void *payload);

/*
 * pool_bytes - How many bytes the pool has allocated.
 */
size_t pool_bytes(const struct pool *pool);

#endif
