# frozen_string_literal: true

module WorkShaper
  class Stream
    # Tells how many results were taken, ten times a second at most.
    #
    # @private
    class Progress
      include Clock

      PERIOD = 0.1 # seconds
      private_constant :PERIOD

      # @param progress [#call(done, total), nil]
      # @param source [Object] whose size is the total, if it has one that stays
      # @param block [Proc] gets the results
      # @return [Proc]
      def self.wrap(progress, source, block)
        progress ? new(progress, source, block).method(:result).to_proc : block
      end

      def initialize(progress, source, block)
        @progress = progress
        @total = source.size if source.respond_to?(:size) && source.respond_to?(:each)
        @total = nil unless @total.is_a?(Integer)
        @block = block
        @done = 0
        @next_at = now
      end

      # One more was taken.
      def result(value)
        @block.call(value)
        @done += 1
        tell if @done == @total || now >= @next_at
      end

      private

      def tell
        @next_at = now + PERIOD
        @progress.call(@done, @total)
      end
    end

    private_constant :Progress
  end
end
