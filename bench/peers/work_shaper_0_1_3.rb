# frozen_string_literal: true

# Runs alone, with WorkShaper 0.1.3.1 in GEM_PATH: prints the messages per second of no-op work on 100 keys.
# It enqueues for as many seconds as it is told and then waits until all is acknowledged.
gem "work_shaper", "0.1.3.1"
require "work_shaper"
require "logger"

WorkShaper.logger = Logger.new(IO::NULL, level: Logger::FATAL)
no_work = ->(*) {}
manager = WorkShaper::Manager.new(work: no_work, on_done: no_work, ack: ->(_partition, _offset) { true },
                                  on_error: no_work, max_in_queue: 25)
keys = Array.new(100) { |number| "key-#{number}" }
offset = 0
start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
finish = start + Float(ARGV.fetch(0))
while Process.clock_gettime(Process::CLOCK_MONOTONIC) < finish
  manager.enqueue(keys[offset % 100], "a small message", 0, offset)
  offset += 1
end
sleep 0.001 while manager.total_acked < offset # it has no method that waits
puts offset / (Process.clock_gettime(Process::CLOCK_MONOTONIC) - start)
$stdout.flush
exit!(true) # its shutdown waits for each of its threads
