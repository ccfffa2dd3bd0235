# frozen_string_literal: true

require_relative "traffic"

module Bench
  # Work that waits: each message sleeps 10 ms, on as many keys as workers.
  module Io
    WORKERS = 100
    PAUSE = 0.01
    IDEAL = WORKERS / PAUSE
    MESSAGES = 50_000 # 5 s at the ideal rate
    WORK = ->(_message, _partition, _offset) { sleep PAUSE }

    module_function

    def rate(keys)
      MESSAGES / Traffic.seconds_through(Traffic.manager(work: WORK, concurrency: WORKERS), keys, MESSAGES)
    end

    # The same sleeps on threads with nothing between them: what Ruby's threads allow.
    def rate_of_threads
      each = MESSAGES / WORKERS
      elapsed = Bench.seconds do
        Array.new(WORKERS) { Thread.new { each.times { WORK.call(nil, 0, 0) } } }.each(&:join)
      end
      MESSAGES / elapsed
    end

    # A hundred times the rate of one thread: what sleep allows, which returns a little late.
    def rate_of_sleep
      times = 200
      WORKERS * times / Bench.seconds { times.times { WORK.call(nil, 0, 0) } }
    end

    def compare(table, name, **aim, &side)
      table.ratio(name, unit: "/s", ours: side, reference: -> { IDEAL }, warm_up: false, **aim)
    end
  end

  compare "io", "10 ms of I/O (sleep), 100 keys, 100 workers, 50,000 messages, against the ideal of 10,000/s" do |table|
    keys = Traffic.string_keys(Io::WORKERS)
    Io.compare(table, "WorkShaper", at_least: 0.97) { Io.rate(keys) }
    Io.compare(table, "  100 bare threads") { Io.rate_of_threads }
    Io.compare(table, "  one thread that sleeps, x 100") { Io.rate_of_sleep }
  end
end
