/*
 * errors - the gem's exception classes, as lib/work_shaper/errors.rb defines them.
 */
#ifndef WORK_SHAPER_ERRORS_H
#define WORK_SHAPER_ERRORS_H

#include <ruby/ruby.h>

extern VALUE work_shaper_error, work_shaper_shutting_down, work_shaper_full, work_shaper_forked_process,
    work_shaper_closed;

#endif
