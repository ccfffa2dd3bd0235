/*
 * offset_map_object - WorkShaper::OffsetMap: a core/offset_map.h for Ruby.
 */
#ifndef WORK_SHAPER_KAFKA_OFFSET_MAP_OBJECT_H
#define WORK_SHAPER_KAFKA_OFFSET_MAP_OBJECT_H

#include <ruby/ruby.h>

/*
 * init_offset_map - Defines WorkShaper::OffsetMap.
 */
void init_offset_map(VALUE work_shaper);

#endif
