# frozen_string_literal: true

module WorkShaper
  class Consumer
    # How many messages may be in flight: as many as keep the workers busy, and not many more. What waits has to be
    # fetched again after a rebalance, and what is finished beyond a slow sub key is repeated after a kill.
    #
    # So it begins with two messages a worker, doubles when workers idled because it was full, and halves when they
    # did not for a while.
    #
    # @private
    class Window
      TOLERATED = 0.02 # the share of their time that workers may idle
      LOSS = 0.01 # seconds beyond that, for the average worker, at which it doubles
      CALM = 0.5 # seconds without that, after which it halves

      # @return [Integer] messages
      attr_reader :size

      # @param crew [Crew] is told how large it is
      # @param concurrency [Integer] workers at most
      # @param most [Integer] messages at most
      def initialize(crew, concurrency, most)
        @crew = crew
        @most = most
        @least = [2 * concurrency, most].min
        resize(@least)
      end

      # How many more messages may come in.
      def room
        [@size - @crew.in_flight, 0].max
      end

      def empty?
        @crew.in_flight.zero?
      end

      # Waits some milliseconds for room, at most. Returns it.
      def await_room(milliseconds)
        @crew.await_room(milliseconds, @size == @most)
        room
      end

      # To be called in each turn of the loop, before it waits for room. The time from one call that found it full to
      # the next is what counts.
      def adapt
        now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        idle = @crew.idle_time
        @lost = [@lost + idle - @idle - (TOLERATED * (now - @looked_at)), 0].max if @full
        @full = room.zero?
        @idle = idle
        @looked_at = now
        if @lost > LOSS
          resize([@size * 2, @most].min)
        elsif now - @resized_at > CALM
          resize([@size / 2, @least].max)
        end
      end

      private

      def resize(size)
        @crew.max_in_flight = @size = size
        @lost = 0
        @resized_at = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end

    private_constant :Window
  end
end
