# frozen_string_literal: true

require_relative "traffic"

module Bench
  # A thousand sub keys of one partition that fail for ever beside a thousand healthy ones of another: work of 5 ms of
  # I/O on 100 workers. (Without a breaker, which would hold all.)
  module Failing
    KEYS = 1_000
    WORKERS = 100
    MESSAGES = 100_000 # 5 s of the healthy ones
    WORK = lambda do |_message, partition, _offset|
      raise "for ever" if partition == :ill

      sleep 0.005
    end

    module_function

    # Healthy messages per second.
    def rate(failing)
      manager = Traffic.manager(work: WORK, concurrency: WORKERS, attempts: :unlimited, wait: 1..60, breaker: false,
                                on_error: ->(*) {}, max_in_queue: 1_000)
      KEYS.times { |number| manager.enqueue([:ill, number], MESSAGE, :ill, number) } if failing
      elapsed = Bench.seconds do
        MESSAGES.times { |number| manager.enqueue(number % KEYS, MESSAGE, :well, number) }
        manager.await(:well)
      end
      manager.revoke(:ill)
      manager.shutdown
      MESSAGES / elapsed
    end
  end

  compare "failing", "1,000 keys that fail for ever beside 1,000 healthy ones, against these alone" do |table|
    table.ratio("healthy messages", unit: "/s", ours: -> { Failing.rate(true) },
                                    reference: -> { Failing.rate(false) }, at_least: 0.95)
  end
end
