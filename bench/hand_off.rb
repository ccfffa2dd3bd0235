# frozen_string_literal: true

require_relative "traffic"

module Bench
  # Producers that are blocked by a full queue nearly all the time: what it costs to wake a producer that waits for
  # room.
  module HandOff
    MESSAGES = 100_000

    module_function

    # One sub key per producer, and room for one message in each.
    def rate(producers)
      manager = Traffic.manager(concurrency: producers, max_in_queue: 1)
      elapsed = Bench.seconds do
        each_producer(producers) do |producer, offset|
          manager.enqueue(producer, MESSAGE, producer, offset)
        end
        manager.drain
      end
      Traffic.close(manager, MESSAGES)
      MESSAGES / elapsed
    end

    # One queue per producer, with room for one message in each, and a thread that empties it and calls the same
    # lambdas.
    def rate_of_queues(producers)
      queues = Array.new(producers) { Thread::SizedQueue.new(1) }
      consumers = queues.map { |queue| Thread.new { consume(queue) } }
      elapsed = Bench.seconds do
        each_producer(producers) { |producer, offset| queues[producer].push(offset) }
        queues.each(&:close)
        consumers.each(&:join)
      end
      MESSAGES / elapsed
    end

    def consume(queue)
      while (offset = queue.pop)
        Traffic::NO_WORK.call(MESSAGE, 0, offset)
        Traffic::NO_WORK.call(MESSAGE, 0, offset)
        Traffic::NO_ACK.call(0, offset)
      end
    end

    def each_producer(producers)
      each = MESSAGES / producers
      threads = Array.new(producers) do |producer|
        Thread.new { each.times { |offset| yield producer, offset } }
      end
      threads.each(&:join)
    end
  end

  compare "hand_off", "no work, producers blocked by a full queue of one, against Thread::SizedQueue.new(1)" do |table|
    { "one blocked producer" => 1, "10 blocked producers" => 10 }.each do |name, producers|
      ours = -> { HandOff.rate(producers) }
      table.ratio(name, unit: "/s", at_least: 1.0, ours: ours, reference: -> { HandOff.rate_of_queues(producers) })
    end
  end
end
