# frozen_string_literal: true

require_relative "clock"
require_relative "memory"
require_relative "traffic"

module Demo
  # The result of consuming in one of the ways.
  Result = Struct.new(:messages, :again, :seconds, :violations, :committed, :memory, keyword_init: true) do
    def rate
      messages / seconds if messages.positive? && seconds.positive?
    end
  end

  # The work on each message: some milliseconds of waiting, as for a query or an HTTP call. Checks on the way that each
  # key's messages come one at a time, none left out (unless there may be holes), in the order in which they were
  # produced. One that comes again is none of that: the broker takes a partition from a program that it has not heard
  # from for a session, on a machine that is too busy, and its next owner begins where it had committed.
  class Work
    IO_SEC = 0.010

    # Touched by only one worker at a time if all is well; if not, that is a violation.
    Key = Struct.new(:next_number, :busy, :seen, :again, :violations)

    def initialize(traffic, holes: false)
      @traffic = traffic
      @holes = holes
      @keys = Traffic::KEYS.to_h { |key| [key, Key.new(0, false, {}, 0, 0)] }.freeze
    end

    def call(message)
      @began ||= Clock.now
      _, number = @traffic.read(message.payload)
      return unless number # somebody else's

      key = @keys.fetch(message.key)
      check(key, number)
      key.busy = true
      sleep IO_SEC
      key.busy = false
      key.seen[number] = true
      @ended = Clock.now
    end

    def done
      @keys.each_value.sum { |key| key.seen.size }
    end

    # From the first message on: how long the broker takes to send that one does not count.
    def result(committed: nil)
      Result.new(messages: done, again: @keys.each_value.sum(&:again), violations: @keys.each_value.sum(&:violations),
                 committed: committed, seconds: @ended ? @ended - @began : 0.0, memory: Memory.highest)
    end

    private

    def check(key, number)
      again = key.seen[number]
      key.again += 1 if again
      key.violations += 1 if key.busy || (!again && (@holes ? number < key.next_number : number != key.next_number))
      key.next_number = [key.next_number, number + 1].max
    end
  end
end
