# frozen_string_literal: true

require_relative "clock"
require_relative "memory"
require_relative "traffic"

module Demo
  # The result of consuming in one of the ways.
  Result = Struct.new(:messages, :seconds, :violations, :committed, :memory, keyword_init: true) do
    def rate
      messages / seconds if messages.positive? && seconds.positive?
    end
  end

  # The work on each message: some milliseconds of waiting, as for a query or an HTTP call. Checks on the way that each
  # key's messages come one at a time, none left out (unless there may be holes), in the order in which they were
  # produced.
  class Work
    IO_SEC = 0.010

    # Touched by only one worker at a time if all is well; if not, that is a violation.
    Key = Struct.new(:next_number, :busy, :done, :violations)

    def initialize(traffic, holes: false)
      @traffic = traffic
      @holes = holes
      @keys = Traffic::KEYS.to_h { |key| [key, Key.new(0, false, 0, 0)] }.freeze
    end

    def call(message)
      @began ||= Clock.now
      _, number = @traffic.read(message.payload)
      return unless number # somebody else's

      key = @keys.fetch(message.key)
      key.violations += 1 if key.busy || number < key.next_number || (number > key.next_number && !@holes)
      key.busy = true
      sleep IO_SEC
      key.busy = false
      key.next_number = number + 1
      key.done += 1
      @ended = Clock.now
    end

    def done
      @keys.each_value.sum(&:done)
    end

    # From the first message on: how long the broker takes to send that one does not count.
    def result(committed: nil)
      Result.new(messages: done, violations: @keys.each_value.sum(&:violations), committed: committed,
                 seconds: @ended ? @ended - @began : 0.0, memory: Memory.highest)
    end
  end
end
