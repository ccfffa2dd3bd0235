/*
 * memory - what the C library holds free.
 */
#ifndef WORK_SHAPER_RUBY_MEMORY_H
#define WORK_SHAPER_RUBY_MEMORY_H

/*
 * memory_trim - Gives it back to the system, where the C library can. Ruby's own pages lie between what was freed, so
 * that glibc would keep it: 150 MB after a million messages. It may take some 10 ms.
 */
void memory_trim(void);

#endif
