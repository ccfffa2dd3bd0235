# frozen_string_literal: true

require_relative "traffic"

module Bench
  # Work that computes: threads cannot make it faster, but they should not make it slower.
  module Cpu
    MICROSECONDS = 100
    MESSAGES = 15_000

    module_function

    # How far to count so that it takes the wanted time.
    def turns
      sample = 1_000_000
      count(sample)
      fastest = Array.new(5) { Bench.seconds { count(sample) } }.min
      (sample * MICROSECONDS / 1e6 / fastest).round
    end

    def count(turns)
      turn = 0
      turn += 1 while turn < turns
    end

    def serial_rate(work)
      elapsed = Bench.seconds do
        offset = 0
        while offset < MESSAGES
          work.call(MESSAGE, 0, offset)
          offset += 1
        end
      end
      MESSAGES / elapsed
    end

    def rate(work, keys)
      MESSAGES / Traffic.seconds_through(Traffic.manager(work: work, concurrency: 25), keys, MESSAGES)
    end
  end

  compare "cpu", "100 us of pure-Ruby CPU per message, 100 keys, 25 workers, against the serial loop" do |table|
    turns = Cpu.turns
    work = ->(_message, _partition, _offset) { Cpu.count(turns) }
    keys = Traffic.string_keys(100)
    table.ratio("100 us each", unit: "/s", at_least: 0.95,
                               ours: -> { Cpu.rate(work, keys) }, reference: -> { Cpu.serial_rate(work) })
  end
end
