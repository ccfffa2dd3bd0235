# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The lag of the last minutes, for the page of {Web}. It is noted whether anybody looks or not: whoever opens the
    # page wants to know how it came about.
    #
    # @private
    class LagHistory
      include Clock

      PERIOD = 5 # seconds between two rows at least
      MOST = 180 # rows

      # @yieldreturn [Integer, nil] the lag now
      def initialize(&lag)
        @lag = lag
        @rows = [].freeze
      end

      # To be called about every second, by one thread.
      def note
        @rows = [*@rows, [now, @lag.call].freeze].last(MOST).freeze if due?
      end

      # @return [Array<Array(Float, Integer)>] seconds ago and the lag, nil where it was not known; the oldest first
      def to_a
        at = now
        @rows.map { |noted_at, lag| [at - noted_at, lag] }
      end

      private

      # The rounds of whoever calls it are not quite as long as they are to be.
      def due?
        @rows.empty? || now - @rows.last.first > PERIOD - 0.5
      end
    end

    private_constant :LagHistory
  end
end
