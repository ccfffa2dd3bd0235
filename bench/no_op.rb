# frozen_string_literal: true

require_relative "traffic"

module Bench
  # Work that does nothing: what is left is what WorkShaper itself costs.
  module NoOp
    MESSAGES = 1_500_000

    module_function

    # The loop of Traffic.enqueue, except that it calls the lambdas itself, one after the other in its one thread.
    def bare_loop(keys, work, on_done, ack)
      distinct = keys.size
      MESSAGES.times do |offset|
        _key = keys[offset % distinct]
        work.call(MESSAGE, 0, offset)
        on_done.call(MESSAGE, 0, offset)
        ack.call(0, offset)
      end
    end

    def bare_rate(keys)
      MESSAGES / Bench.seconds { bare_loop(keys, Traffic::NO_WORK, Traffic::NO_WORK, Traffic::NO_ACK) }
    end

    def rate(keys, settings)
      MESSAGES / Traffic.seconds_through(Traffic.manager(concurrency: 25, **settings), keys, MESSAGES)
    end

    def compare(table, name, keys, settings, **aim)
      table.ratio(name, unit: "/s", ours: -> { rate(keys, settings) }, reference: -> { bare_rate(keys) }, **aim)
    end
  end

  compare "no_op", "no work, 100 keys, 25 workers, against a bare loop of the same lambdas" do |table|
    keys = Traffic.string_keys(100)
    NoOp.compare(table, "acks: :latest", keys, { acks: :latest }, at_least: 0.7)
    NoOp.compare(table, "acks: :every", keys, { acks: :every }, at_least: 0.5)
    NoOp.compare(table, "acks: :latest, max_in_queue: 1000", keys, { acks: :latest, max_in_queue: 1_000 })
    NoOp.compare(table, "acks: :every, max_in_queue: 1000", keys, { acks: :every, max_in_queue: 1_000 })
  end
end
