# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Asks for no more messages than there is room for. While there is no room it asks for single messages, so that
    # librdkafka is polled and answers rebalances; when that lasts, it pauses the partitions. (No sooner: librdkafka
    # throws away what it has fetched of a paused partition, and after resuming, the next message takes almost half a
    # second.) A partition that takes up the room of the others is paused alone, and so is one that the application
    # wants paused.
    #
    # @private
    class BackPressure
      PAUSE_AFTER = 1.0 # seconds
      PAUSE_AFTER_BYTES = 0.1 # seconds without room in bytes: single messages may be large
      FULL_WAIT = 20 # milliseconds
      BATCH = 1000 # messages
      FEED_TIME = 0.01 # seconds that feeding a batch should take: the loop cannot poll meanwhile

      # @param pool [Pool]
      # @param in_flight_limit [InFlightLimit]
      # @param client [Client]
      # @param assignment [Assignment]
      # @param pauses [Pauses]
      def initialize(pool, in_flight_limit, client, assignment, pauses)
        @pool = pool
        @client = client
        @assignment = assignment
        @pauses = pauses
        @batch = 1
        @held = {} # all that are paused because there is no room
        @alone = {} # those that are paused because of what they hold
        @bytes_alone = 0 # that they hold
        @asked = {} # those that the application wants paused
        @quiet = false
        limit_by(in_flight_limit)
        assignment.on_revoked { |gone| forget(gone) }
      end

      # @param in_flight_limit [InFlightLimit] from now on
      def limit_by(in_flight_limit)
        @in_flight_limit = in_flight_limit
        @crowding = Crowding.new(@pool, in_flight_limit.most, in_flight_limit.least)
        @most_at_a_time = [in_flight_limit.most / 4, 1].max # by more, one partition could leave the others nothing
      end

      # @return [Hash{String => Array(String, Integer)}] the partitions that are paused
      def paused
        { **@held, **@alone, **@asked }
      end

      # Takes nothing more in from now on.
      def quiet!
        @quiet = true
      end

      # Does what the application wants. To be called in each turn of the loop.
      def heed
        return if @pauses.all.empty? && @asked.empty?

        wanted = @assignment.partitions.slice(*@pauses.all.keys)
        ask(wanted.except(*@asked.keys))
        no_longer_ask(@asked.except(*wanted.keys))
      end

      # How many messages to ask for now; waits a little for room.
      def allowance
        return hold(:quiet) if @quiet
        return probe if @pool.held?

        room = @in_flight_limit.await_room(FULL_WAIT, @held.any?)
        single_out if @crowding.due?
        release if @held.any? && a_quarter?(room)
        return hold(:full) if @held.any? || full_for_long?

        room.clamp(1, [@batch, @most_at_a_time].min)
      end

      # How many to ask for while others, for so many seconds, are not fed yet: librdkafka is to be polled.
      def allowance_beside(seconds)
        seconds > PAUSE_AFTER ? hold(:sub_keys_take_long) : 1
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

      # Whether a quarter is free of the room that those leave which are paused alone: of all room it may never be.
      def a_quarter?(room)
        room >= [@in_flight_limit.beside / 4, 1].max && @pool.bytes_left >= (@pool.max_bytes - @bytes_alone) / 4
      end

      def full_for_long?
        @in_flight_limit.full_for > (@pool.bytes_left.zero? ? PAUSE_AFTER_BYTES : PAUSE_AFTER)
      end

      # While the breaker is open: nothing, unless its next probe is due and nothing is left that could be one.
      def probe
        return hold(:breaker) unless @pool.lacks_probe?

        release if @held.any?
        1
      end

      # @param reason [Symbol] for those who listen
      def hold(reason)
        fresh = @assignment.partitions.except(*paused.keys)
        pause(fresh)
        tell(:paused, fresh, reason: reason)
        @held = @held.merge(fresh)
        1
      end

      # When a partition is resumed, librdkafka goes on from its position.
      def pause(partitions)
        return if partitions.empty?

        @client.pause(partitions.values)
        @assignment.put_right(partitions.values)
      end

      def release
        resume(@held)
        @held = {}
      end

      # Pauses those that take up too much, and resumes those that no longer do.
      def single_out
        crowding = @crowding.look(@alone, @assignment.partitions.size > 1)
        @bytes_alone = crowding.each_value.sum(&:bytes)
        @in_flight_limit.make_way(crowding.each_value.sum(&:unfinished), @crowding.reserving?)
        return if crowding.empty? && @alone.empty?

        resume_alone(@alone.keys - crowding.keys)
        pause_alone(crowding.keys - @alone.keys)
      end

      def pause_alone(names)
        fresh = @assignment.partitions.slice(*names)
        pause(fresh.except(*@held.keys, *@asked.keys))
        tell(:paused, fresh, reason: :crowding)
        @alone = @alone.merge(fresh)
        @held = @held.except(*fresh.keys)
      end

      def resume_alone(names)
        resume(@alone.slice(*names).except(*@asked.keys))
        @alone = @alone.except(*names)
      end

      # They are not among those that are held, whatever these wait for.
      def ask(partitions)
        return if partitions.empty?

        pause(partitions.except(*paused.keys))
        tell(:paused, partitions, reason: :asked)
        @asked = @asked.merge(partitions)
        @held = @held.except(*partitions.keys)
      end

      def no_longer_ask(partitions)
        @asked = @asked.except(*partitions.keys)
        resume(partitions.except(*@alone.keys))
      end

      def resume(partitions)
        return if partitions.empty?

        @client.resume(partitions.values)
        tell(:resumed, partitions)
      end

      def tell(event, partitions, **more)
        @pool.events.publish(event) { { partitions: partitions.keys, **more } } if partitions.any?
      end

      # A partition that goes leaves no pause behind: librdkafka would remember it when the partition comes back.
      def forget(gone)
        left = paused.slice(*gone.keys)
        @client.resume(left.values) if left.any?
        @held = @held.except(*left.keys)
        @alone = @alone.except(*left.keys)
        @asked = @asked.except(*left.keys)
      end
    end

    private_constant :BackPressure
  end
end
