# frozen_string_literal: true

module WorkShaper
  module Testing
    # The clock of a session. It stands still but for waits, which move it, and for whoever sets it. Ruby's own Time is
    # left alone.
    #
    # @example
    #   clock = WorkShaper::Testing::Clock.new(Time.utc(2026, 1, 1))
    #   WorkShaper::Testing.consume(consumer, messages, clock: clock)
    #   clock.now #=> later, by what retries have waited
    class Clock
      # @return [Time]
      # @example
      #   session.clock.now
      attr_reader :now

      # @param now [Time]
      # @raise [TypeError] it is no Time
      # @example
      #   WorkShaper::Testing::Clock.new(Time.utc(2026, 1, 1))
      def initialize(now = Time.now)
        @now = check(now)
      end

      # Sets it. In the work of a message whose consumer has a `timeout`, {Timeout} is raised when that has passed.
      #
      # @param time [Time]
      # @raise [TypeError] it is no Time
      # @raise [ArgumentError] it is earlier than now
      # @raise [Timeout] see above
      # @example
      #   session.clock.now = Time.utc(2026, 1, 2)
      def now=(time)
        raise ArgumentError, "the clock is set to #{time}, before #{@now}; it never goes back" if check(time) < @now

        @now = time
        @limit&.look
      end

      # Moves it on, as {#now=} does.
      #
      # @param seconds [Numeric]
      # @return [Time] now
      # @raise [TypeError, ArgumentError] these are no seconds >= 0
      # @raise [Timeout] see {#now=}
      # @example
      #   session.clock.advance(30)
      def advance(seconds)
        unless seconds.is_a?(Numeric) && seconds.real?
          raise TypeError, "seconds is #{seconds.inspect}; it must be a number >= 0"
        end

        self.now += seconds
        now
      end

      # @return [String]
      def inspect
        "#<#{self.class} #{now}>"
      end

      private

      # What looks whenever the clock was moved: the time limit of work that runs.
      attr_accessor :limit

      def check(time)
        time.is_a?(Time) ? time : raise(TypeError, "the clock's time is #{time.inspect}; it must be a Time")
      end
    end
  end
end
