# frozen_string_literal: true

require_relative "traffic"

module Bench
  # What finishes behind an unfinished head waits in its partition's window until the head is done. One partition with
  # a window of 100,000 is measured against 1,000 partitions with a window of 100 each: the same number of messages in
  # flight and of thread switches, so only the length of the window differs. All heads share one blocked sub key.
  module BlockedHead
    WINDOWED = 100_000
    KEYS = 100

    # One run: fill the windows behind the blocked heads, then let the heads go.
    class Run
      def initialize(keys, window)
        @keys = keys
        @window = window
        @partitions = WINDOWED / window
        @gate = Thread::Queue.new
        @finished = Thread::Queue.new
        @manager = build
      end

      # Nanoseconds per message: [enqueued and finished behind the head, acknowledged after it].
      def costs
        block_heads
        filling = Bench.seconds { fill }
        raise "an offset was acknowledged past its head" unless @manager.total_acked.zero?

        releasing = Bench.seconds { release }
        Traffic.close(@manager, WINDOWED + @partitions)
        [filling, releasing].map { |elapsed| elapsed * 1e9 / WINDOWED }
      end

      private

      def build
        gate = @gate
        finished = @finished
        Traffic.manager(work: ->(message, _partition, _offset) { gate.pop if message == :head },
                        on_done: ->(message, _partition, _offset) { finished.push(true) if message == :last },
                        max_in_queue: 2_000, max_in_flight: 2 * WINDOWED, acks: :every)
      end

      def block_heads
        @partitions.times { |partition| @manager.enqueue("head", :head, partition, 0) }
      end

      # The messages of a key run in order, so all are finished when the last of each key is.
      def fill
        @partitions.times do |partition|
          message = partition == @partitions - 1 ? :last : nil
          fill_window(partition, 1..(@window - KEYS), nil)
          fill_window(partition, (@window - KEYS + 1)..@window, message)
        end
        KEYS.times { @finished.pop }
      end

      def fill_window(partition, offsets, message)
        offsets.each { |offset| @manager.enqueue(@keys[offset % KEYS], message, partition, offset) }
      end

      def release
        @gate.close
        @manager.drain
      end
    end

    module_function

    def side(keys, window, phase)
      -> { Run.new(keys, window).costs.fetch(phase) }
    end

    def compare(table, name, keys, phase)
      table.ratio(name, unit: "ns", at_most: 1.2, ours: side(keys, WINDOWED, phase), reference: side(keys, KEYS, phase))
    end
  end

  compare "blocked_head", "cost per message behind a blocked head, window 100,000 against 100" do |table|
    keys = Traffic.string_keys(BlockedHead::KEYS)
    BlockedHead.compare(table, "enqueued and finished behind it", keys, 0)
    BlockedHead.compare(table, "acknowledged after it", keys, 1)
  end
end
