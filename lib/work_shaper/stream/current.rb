# frozen_string_literal: true

module WorkShaper
  class Stream
    # The piece of a stream's work that runs on the current thread: what {WorkShaper.current} returns there.
    class Current
      # @return [Integer] the index of its input
      attr_reader :index

      def initialize(pool, time_limit, index, failure)
        @pool = pool
        @time_limit = time_limit
        @index = index
        @failure = failure
      end

      # @return [Integer] which attempt this is, 1 for the first
      def attempt
        @failure ? @failure.attempt : 1
      end

      # @return [Float, nil] seconds left of `timeout` and `deadline`; nil: there is none
      # @example
      #   http.read_timeout = WorkShaper.current.remaining || 60
      def remaining
        [@time_limit&.remaining, @pool.deadline_left].compact.min
      end

      # @return [Boolean] whether nobody waits for the result any more: the stream was cancelled, its reader has left,
      #   or an input before this one failed
      # @example
      #   return if WorkShaper.current.cancelled?
      def cancelled?
        index, _failure, unwanted = @pool.work_here
        unwanted || index != @index
      end
      alias stopping? cancelled?

      # Raises if the work had better end.
      #
      # @return [nil]
      # @raise [Cancelled] nobody waits for the result any more
      # @raise [Timeout] nothing is left of the timeout
      # @example
      #   rows.each { |row| WorkShaper.current.check and import(row) }
      def check
        raise @pool.cancelled_error if cancelled?
        raise Timeout, "the work took longer than it may" if remaining&.zero?
      end

      # @return [String]
      def inspect
        "#<#{self.class} index #{index}, attempt #{attempt}>"
      end
    end
  end
end
