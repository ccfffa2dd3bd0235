# frozen_string_literal: true

require_relative "load_test/report"

module WorkShaper
  # Load tests: runs a block at a rate, or as often as it can, and says how long it took.
  module LoadTest
    # One load test.
    #
    # @private
    class Run
      include Clock

      def initialize(rate, duration, concurrency, block)
        @rate = rate
        @duration = duration
        @concurrency = concurrency
        @block = block
        @lock = Mutex.new
        @histogram = Histogram.new
        @errors = Hash.new(0)
        @late_starts = 0
      end

      # @return [Report]
      def report
        @began = now
        @rate ? open_model : closed_model
        Report.new(histogram: @histogram, elapsed: now - @began, rate: @rate, errors: @errors.dup.freeze,
                   late_starts: @late_starts)
      end

      private

      # Every number is pushed at its time, whether or not a worker is free: what has to wait is late.
      def open_model
        count = (@rate * @duration).ceil
        stream = Stream.new(concurrency: @concurrency, max_in_flight: count, ordered: false) do |number|
          measure(number, @began + number.fdiv(@rate))
        end
        count.times do |number|
          wait_until(@began + number.fdiv(@rate))
          stream.push(number) { nil }
        end
        stream.close
        stream.each { nil }
      end

      # Each thread begins its next number when it is done with the last one.
      def closed_model
        number = -1
        WorkShaper.map(1..@concurrency, concurrency: @concurrency) do
          measure(@lock.synchronize { number += 1 }, now) while now < @began + @duration
        end
      end

      def wait_until(time)
        seconds = time - now
        sleep(seconds) if seconds.positive?
      end

      def measure(number, intended)
        late if now - intended > Report::LATE_AFTER
        @block.call(number)
      rescue *Guard::FATAL
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- a NotImplementedError is an error of the test, too
        count_error(e)
      ensure
        @histogram.record(now - intended)
      end

      def late
        @lock.synchronize { @late_starts += 1 }
      end

      def count_error(error)
        @lock.synchronize { @errors[error.class.name || error.class.inspect] += 1 }
      end
    end

    private_constant :Run

    # Runs the block and measures. With a rate it is an open model: number n is to start n / rate seconds after the
    # beginning, and its latency counts from there, so that a stall shows in all that it delayed. Without one it is a
    # closed model: each thread starts its next when the last one is over, and a stall hides what would have come
    # meanwhile.
    #
    # @param rate [Numeric, nil] how many start in a second; nil: as many as go
    # @param duration [Numeric] seconds in which they start
    # @param concurrency [Integer] how many run at a time at most
    # @yieldparam number [Integer] 0, 1, 2 ...
    # @return [Report] once all have ended
    # @raise [TypeError, ArgumentError] a value is of the wrong type or out of range
    # @example
    #   puts WorkShaper::LoadTest.run(rate: 200, duration: 30, concurrency: 50) { |n| Net::HTTP.get(uri) }
    def self.run(rate:, duration:, concurrency: 25, &block)
      raise ArgumentError, "a load test needs a block, which does the work" unless block

      { rate: rate, duration: duration }.each do |name, value|
        next if value.nil? && name == :rate

        number = value.is_a?(Numeric) && value.real? && value
        raise TypeError, "#{name} is #{value.inspect}; it must be a number > 0" unless number
        next if number.positive? && number.to_f.finite?

        raise ArgumentError, "#{name} is #{value.inspect}; it must be a number > 0"
      end
      Run.new(rate, duration, concurrency, block).report
    end
  end
end
