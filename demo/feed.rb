# frozen_string_literal: true

require_relative "clock"
require_relative "failure"

module Demo
  # The messages of some ranges of offsets (`{ partition => first...end }`), one after the other as a consumer
  # polls them, until all were there or the demo is interrupted.
  class Feed
    PATIENCE_SEC = 15

    attr_reader :consumer

    def initialize(consumer, ranges, &interrupted)
      @consumer = consumer
      @ranges = ranges
      @interrupted = interrupted
      @began = nil
    end

    # How many offsets the ranges hold: what others produced into the topic meanwhile is among them.
    def size
      @ranges.values.sum(&:size)
    end

    # Seconds since the first message came: how long a broker takes to send it is nobody's speed.
    def seconds
      @began ? Clock.now - @began : 0.0
    end

    # Yields each message, and nil while there is none.
    def each
      left = @ranges.transform_values(&:end)
      until left.empty? || @interrupted.call
        message = poll
        next yield(nil) unless message
        next if message.offset >= @ranges.fetch(message.partition).end

        yield message
        left.delete(message.partition) if message.offset + 1 == left[message.partition]
      end
    end

    private

    def poll
      message = @consumer.poll(100)
      @last_at = Clock.now if message || @last_at.nil?
      @began ||= @last_at if message
      return message if message || Clock.now - @last_at < PATIENCE_SEC

      raise Failure, "no message came for #{PATIENCE_SEC} s"
    end
  end
end
