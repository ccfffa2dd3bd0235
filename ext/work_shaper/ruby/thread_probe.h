/*
 * thread_probe - Whether the system lets this process start some more threads. When it does not, librdkafka aborts the
 * process or waits for ever (2.8.0: rd_kafka_new, in an assertion or in its own cleaning up).
 */
#ifndef WORK_SHAPER_RUBY_THREAD_PROBE_H
#define WORK_SHAPER_RUBY_THREAD_PROBE_H

#include <ruby/ruby.h>

/*
 * init_thread_probe - Defines the singleton method probe_threads of a class.
 */
void init_thread_probe(VALUE class);

#endif
