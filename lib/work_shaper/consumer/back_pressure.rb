# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Asks for no more messages than there is room for. While there is no room it asks for single messages, so that
    # librdkafka is polled and answers rebalances; when that lasts, it pauses the partitions. (No sooner: librdkafka
    # throws away what it has fetched of a paused partition, and after resuming, the next message takes almost half a
    # second.)
    #
    # @private
    class BackPressure
      PAUSE_AFTER = 1.0 # seconds
      PAUSE_AFTER_BYTES = 0.1 # seconds without room in bytes: single messages may be large
      FULL_WAIT = 20 # milliseconds
      BATCH = 1000 # messages
      FEED_TIME = 0.01 # seconds that feeding a batch should take: the loop cannot poll meanwhile

      # @return [Hash{String => Array(String, Integer)}] the partitions that are paused
      attr_reader :paused

      def initialize(pool, in_flight_limit, client, assignment)
        @pool = pool
        @in_flight_limit = in_flight_limit
        @client = client
        @assignment = assignment
        @batch = 1
        @paused = {}
        @quiet = false
        assignment.on_revoked { |gone| forget(gone) }
      end

      # Takes nothing more in from now on.
      def quiet!
        @quiet = true
      end

      # How many messages to ask for now; waits a little for room.
      def allowance
        return hold if @quiet
        return probe if @pool.held?

        room = @in_flight_limit.await_room(FULL_WAIT, @paused.any?)
        release if @paused.any? && a_quarter?(room)
        return hold if @paused.any? || full_for_long?

        room.clamp(1, @batch)
      end

      # How many to ask for while others, for so many seconds, are not fed yet: librdkafka is to be polled.
      def allowance_beside(seconds)
        seconds > PAUSE_AFTER ? hold : 1
      end

      # Feeding so many messages took so many seconds: the longer it takes to find sub keys, the fewer are taken at a
      # time.
      def fed(count, seconds)
        if seconds > FEED_TIME
          @batch = [(count * FEED_TIME / seconds).to_i, 1].max
        elsif count >= @batch
          @batch = [@batch * 2, BATCH].min
        end
      end

      private

      # Whether a quarter of all room is free.
      def a_quarter?(room)
        room >= [@in_flight_limit.size / 4, 1].max && @pool.bytes_left >= @pool.max_bytes / 4
      end

      def full_for_long?
        @in_flight_limit.full_for > (@pool.bytes_left.zero? ? PAUSE_AFTER_BYTES : PAUSE_AFTER)
      end

      # While the breaker is open: nothing, unless its next probe is due and nothing is left that could be one.
      def probe
        return hold unless @pool.lacks_probe?

        release if @paused.any?
        1
      end

      def hold
        fresh = @assignment.partitions.except(*@paused.keys)
        if fresh.any?
          @client.pause(fresh.values)
          @paused = @paused.merge(fresh)
        end
        1
      end

      def release
        @client.resume(@paused.values)
        @paused = {}
      end

      # A partition that goes leaves no pause behind: librdkafka would remember it when the partition comes back.
      def forget(gone)
        left = @paused.slice(*gone.keys)
        @client.resume(left.values) if left.any?
        @paused = @paused.except(*left.keys)
      end
    end

    private_constant :BackPressure
  end
end
