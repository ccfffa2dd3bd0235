# frozen_string_literal: true

module WorkShaper
  module Testing
    # The `timeout` of a consumer, by the session's clock: raised where that is moved beyond it.
    #
    # @private
    class TimeLimit
      def initialize(seconds, clock)
        @seconds = seconds
        @clock = clock
      end

      def run
        before = @clock.__send__(:limit)
        @deadline = @clock.now + @seconds
        watch(self)
        yield
      ensure
        watch(before)
        @deadline = nil
      end

      # @return [Float, nil] seconds left to the work that runs
      def remaining
        @deadline && [(@deadline - @clock.now).to_f, 0.0].max
      end

      # Raises once, as in production: it is for the work to decide what becomes of it.
      def look
        return if @clock.now < @deadline

        watch(nil)
        raise Timeout, "the work took longer than #{@seconds} s"
      end

      private

      def watch(limit)
        @clock.__send__(:limit=, limit)
      end
    end
  end
end
