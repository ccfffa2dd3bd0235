# frozen_string_literal: true

module Bench
  # What the comparisons send through a manager, and how.
  module Traffic
    NO_WORK = ->(_message, _partition, _offset) {}
    NO_ACK = ->(_partition, _offset) {}

    module_function

    def manager(work: NO_WORK, on_done: NO_WORK, ack: NO_ACK, **settings)
      WorkShaper::Manager.new(work: work, on_done: on_done, ack: ack, **settings)
    end

    # A manager whose only worker is held by the first message until the gate is closed.
    def gated(gate, **settings)
      manager(work: ->(_message, _partition, _offset) { gate.pop }, concurrency: 1, **settings)
    end

    def string_keys(count)
      Array.new(count) { |number| "key-#{number}" }
    end

    # Enqueues +count+ messages, key after key, as a consumer does: in a block that gets each message.
    def enqueue(manager, keys, count)
      distinct = keys.size
      count.times { |offset| manager.enqueue(keys[offset % distinct], MESSAGE, 0, offset) }
    end

    # Seconds from the first enqueue until everything is finished and acknowledged.
    def seconds_through(manager, keys, count)
      elapsed = Bench.seconds do
        enqueue(manager, keys, count)
        manager.drain
      end
      close(manager, count)
      elapsed
    end

    # A figure counts only when everything was acknowledged.
    def close(manager, count)
      done = manager.shutdown && manager.total_acked == count
      raise "#{manager.total_acked} of #{count} acknowledged" unless done
    end
  end
end
