# frozen_string_literal: true

require_relative "traffic"

module Bench
  # A thousand sub keys that fail for ever beside a thousand healthy ones, of another partition or of the same: work of
  # 5 ms of I/O on 100 workers. (Without a breaker, which would hold all.)
  module Failing
    KEYS = 1_000
    WORKERS = 100
    MESSAGES = 100_000 # 5 s of the healthy ones
    ILL = "a message that fails"
    WORK = lambda do |message, _partition, _offset|
      raise "for ever" if message == ILL

      sleep 0.005
    end

    module_function

    # Healthy messages per second. `ill`: the partition of those that fail; nil: there are none.
    def rate(ill)
      finished = Thread::Queue.new
      manager = Traffic.manager(work: WORK, on_done: ->(_message, _partition, offset) { finished << offset },
                                concurrency: WORKERS, attempts: :unlimited, wait: 1..60, breaker: false,
                                on_error: ->(*) {}, max_in_queue: 1_000)
      KEYS.times { |number| manager.enqueue([:ill, number], ILL, ill, number) } if ill
      elapsed = Bench.seconds do
        MESSAGES.times { |number| manager.enqueue(number % KEYS, MESSAGE, :well, KEYS + number) }
        MESSAGES.times { finished.pop }
      end
      manager.revoke(ill) if ill
      manager.shutdown
      MESSAGES / elapsed
    end
  end

  compare "failing", "1,000 keys that fail for ever beside 1,000 healthy ones, against these alone" do |table|
    { "of another partition" => :ill, "of the same partition" => :well }.each do |what, ill|
      table.ratio("healthy messages, #{what}", unit: "/s", ours: -> { Failing.rate(ill) },
                                               reference: -> { Failing.rate(nil) }, at_least: 0.95)
    end
  end
end
