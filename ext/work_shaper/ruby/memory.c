#include "memory.h"

#include <ruby/ruby.h>
#ifdef HAVE_MALLOC_TRIM
#include <malloc.h>
#endif

void memory_trim(void) {
#ifdef HAVE_MALLOC_TRIM
    malloc_trim(0);
#endif
}
