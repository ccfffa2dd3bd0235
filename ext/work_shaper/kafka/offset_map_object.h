/*
 * offset_map_object - WorkShaper::OffsetMap: a core/offset_map.h for Ruby.
 */
#ifndef WORK_SHAPER_KAFKA_OFFSET_MAP_OBJECT_H
#define WORK_SHAPER_KAFKA_OFFSET_MAP_OBJECT_H

#include "../core/offset_map.h"

#include <ruby/ruby.h>
#include <stdbool.h>

/*
 * offset_map_passes - Whether the map says that this message, of the map's partition and above all that were asked for
 * before, was finished. False until the anchor has come, and for ever when that is not the message of which the map was
 * made: then the log is another one. map: an OffsetMap.
 */
bool offset_map_passes(VALUE map, VALUE message);

/*
 * offset_map_came - Notes that the message, of the map's partition, has come in. map: an OffsetMap.
 */
void offset_map_came(VALUE map, VALUE message);

/*
 * offset_map_latest - The last message that came in, of a map that is proven. map: an OffsetMap.
 */
const struct offset_anchor *offset_map_latest(VALUE map);

/*
 * offset_map_proven - What a map says, once its anchor has come, and while it knows of offsets above all that were
 * asked for. map: an OffsetMap, or nil.
 *
 * Returns NULL otherwise; what is returned belongs to the map.
 */
const struct offset_map *offset_map_proven(VALUE map);

/*
 * init_offset_map - Defines WorkShaper::OffsetMap.
 */
void init_offset_map(VALUE work_shaper);

#endif
