# frozen_string_literal: true

require_relative "traffic"

module Bench
  # CPU used while there is nothing to do: milliseconds of the process per second, less what it uses by itself while
  # asleep.
  module Idle
    WORKERS = 25
    SECONDS = 3
    BEHIND_HEAD = 9_000

    module_function

    def cpu_asleep
      start = cpu
      sleep SECONDS
      (cpu - start) / SECONDS
    end

    def cpu
      Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :float_millisecond)
    end

    # All workers have worked and are parked.
    def cpu_parked
      gate = Thread::Queue.new
      manager = Traffic.manager(work: ->(_message, _partition, _offset) { gate.pop }, concurrency: WORKERS)
      Traffic.enqueue(manager, Traffic.string_keys(WORKERS), WORKERS)
      Thread.pass until gate.num_waiting == WORKERS
      gate.close
      manager.drain
      used = cpu_asleep
      raise "only #{manager.stats[:workers]} workers" unless manager.stats[:workers] == WORKERS

      Traffic.close(manager, WORKERS)
      used
    end

    # The head of the partition is blocked; thousands behind it are finished and cannot be acknowledged yet.
    def cpu_behind_head
      gate = Thread::Queue.new
      manager = Traffic.manager(work: ->(_message, _partition, offset) { gate.pop if offset.zero? })
      Traffic.enqueue(manager, Traffic.string_keys(BEHIND_HEAD), BEHIND_HEAD)
      sleep 0.01 until manager.stats.values_at(:waiting, :running) == [0, 1]
      used = cpu_asleep
      gate.close
      Traffic.close(manager, BEHIND_HEAD)
      used
    end
  end

  compare "idle", "CPU with nothing to do, beyond that of a process asleep" do |table|
    asleep = Idle.cpu_asleep
    table.figure("25 parked workers", unit: "ms/s", at_most: 1) { Idle.cpu_parked - asleep }
    table.figure("9,000 finished behind a blocked head", unit: "ms/s", at_most: 1) { Idle.cpu_behind_head - asleep }
  end
end
