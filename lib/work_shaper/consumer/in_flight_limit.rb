# frozen_string_literal: true

module WorkShaper
  class Consumer
    # How many messages may be unfinished, waiting or running: as many as keep the workers busy, and not many more. What
    # waits has to be fetched again after a rebalance. What is finished behind a slow one does not count.
    #
    # So the limit begins at two messages per worker, doubles when workers lacked work because it was reached, and
    # halves when they have lacked none for a while.
    #
    # @private
    class InFlightLimit
      include Clock

      TOLERATED = 0.02 # the share of their time that workers may lack work
      LOSS = 0.01 # seconds beyond that, for the average worker, at which it doubles
      CALM = 0.5 # seconds without that, after which it halves

      # @return [Integer] messages now, at most and at least
      attr_reader :size, :most, :least

      # @param pool [Pool] is told the limit
      # @param concurrency [Integer] workers at most
      # @param most [Integer] messages at most
      def initialize(pool, concurrency, most)
        @pool = pool
        @most = most
        @least = [2 * concurrency, most].min
        @aside = 0
        @reserve = false
        resize(@least)
      end

      # Some partitions take up the room of the others.
      #
      # @param aside [Integer] messages of those that are paused because of that. They do not count: the others are to
      #   have as much as without them, as far as all together stay below the most that there may be
      # @param reserve [Boolean] whether the last quarter of all room is kept for the others, since one holds more than
      #   half and is not paused
      def make_way(aside, reserve)
        return if aside == @aside && reserve == @reserve

        @aside = aside
        @pool.max_bytes = without_quarter(@pool.max_bytes, reserve) if reserve != @reserve
        @reserve = reserve
        tell_pool
      end

      # How many more messages may come in.
      def room
        heavy? ? 0 : [@limit - @pool.unfinished, 0].max
      end

      # How many messages of others there may be beside those that are set aside.
      def beside
        @limit - @aside
      end

      # Seconds for which there has been no room.
      def full_for
        @full_since ? now - @full_since : 0
      end

      # To be called in each turn of the loop: waits up to so many milliseconds for room when there is none. Returns the
      # room.
      #
      # @param held [Boolean] whether the loop takes nothing although there is room
      def await_room(milliseconds, held)
        note(now, @pool.idle_time) unless @tight
        full = room.zero?
        @tight = (full && !heavy?) || held
        if full
          @full_since ||= now
          @pool.await_room(milliseconds)
        end
        adapt(held)
        @full_since = nil unless room.zero?
        room
      end

      private

      # Whether there is no room because messages are large: no more of them would help.
      def heavy?
        @pool.bytes_left.zero?
      end

      # When something is ready, workers do not lack work; they have only not come for it yet.
      def adapt(held)
        now = self.now
        idle = @pool.idle_time
        @lost = [@lost + idle - @idle - (TOLERATED * (now - @looked_at)), 0].max if @tight && !@pool.ready?
        note(now, idle)
        if @lost > LOSS
          resize([@size * 2, @most].min)
        elsif now - @resized_at > CALM && !held && shrinkable?
          resize([@size / 2, @least].max)
        end
      end

      # Not while it is still overfull from the last time it shrank.
      def shrinkable?
        @pool.unfinished <= @limit * 1.25
      end

      def note(now, idle)
        @looked_at = now
        @idle = idle
      end

      def resize(size)
        @size = size
        @lost = 0
        @resized_at = now
        tell_pool
      end

      def tell_pool
        @pool.max_in_flight = @limit = [@size + @aside, without_quarter(@most, @reserve)].min
      end

      def without_quarter(all, reserve)
        reserve ? all - (all / 4) : all
      end
    end

    private_constant :InFlightLimit
  end
end
