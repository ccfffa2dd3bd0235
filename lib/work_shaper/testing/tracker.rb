# frozen_string_literal: true

module WorkShaper
  module Testing
    # What may be committed of a partition in one assignment. Offsets come in ascending order.
    #
    # @private
    class Tracker
      # @return [Integer] the highest offset that is finished; -1: none
      attr_reader :highest_finished

      def initialize
        @unfinished = []
        @beyond = [] # finished, above the lowest that is not
        @highest = @highest_finished = -1
      end

      def receive(offset)
        @highest = offset
        @unfinished << offset
      end

      # One that was finished in another assignment.
      def receive_finished(offset)
        @highest = offset
        note_finished(offset)
      end

      def finish(offset)
        @unfinished.delete_at(@unfinished.bsearch_index { |other| other >= offset })
        note_finished(offset)
      end

      # @return [Array(Integer, Array<Integer>), nil] the next offset, and what is finished beyond it; nil: nothing is
      #   finished
      def checkpoint
        [frontier, @beyond.dup] if @highest_finished >= 0
      end

      private

      def frontier
        @unfinished.first || (@highest + 1)
      end

      def note_finished(offset)
        @highest_finished = [@highest_finished, offset].max
        @beyond.insert(@beyond.bsearch_index { |other| other > offset } || -1, offset)
        @beyond.shift while @beyond.any? && @beyond.first < frontier
      end
    end
  end
end
