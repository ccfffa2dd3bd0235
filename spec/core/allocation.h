/*
 * allocation - makes the core's memory run out on purpose. Included before every source of the core (gcc -include),
 * so that its malloc, calloc and realloc are ours.
 */
#ifndef WORK_SHAPER_SPEC_ALLOCATION_H
#define WORK_SHAPER_SPEC_ALLOCATION_H

#include <stdlib.h>

void *test_malloc(size_t size);
void *test_realloc(void *memory, size_t size);

#define malloc test_malloc
#define realloc test_realloc

/* After how many more allocations they fail; negative: never. */
extern long allocations_left;

#endif
