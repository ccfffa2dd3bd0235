# frozen_string_literal: true

module WorkShaper
  class Stream
    # The workers of a stream, and what is inside: a manager whose results are pulled.
    #
    # @private
    class Pool < Manager
      public :concurrency=

      # @param block [#call(input)]
      # @param options [Options]
      def initialize(block, options) # rubocop:disable Lint/MissingSuper -- it has other callbacks
        @events = publisher
        @options = options
        @policy = options.policy
        @deadline = options[:deadline]
        @time_limit = time_limit(@policy.timeout, options[:interrupt])
        set_up(limited(block), Outcomes.new(@policy, options[:on_error], method(:tell)), options.native)
      end

      # What {#stats} has.
      COUNTS = %i[pushed taken in_flight waiting running retrying workers failed retried skipped].freeze

      # @return [Hash{Symbol => Integer}]
      def stats
        COUNTS.zip(counts).to_h
      end

      # @return [Hash{Symbol => Integer}, nil] the same; nil in a forked child
      def last_stats
        stats unless forked?
      end

      # @return [Exception, nil] what it ended with
      def last_error
        error unless forked?
      end

      # What is raised inside work that nobody waits for any more.
      def cancelled_error
        Cancelled.new("nobody waits for this result any more")
      end

      # What a stream that takes too long ends with.
      def deadline_error
        Timeout.new("the stream took longer than #{@deadline} s")
      end

      # @return [Array<Failures::Row>] what was collected, by index
      def failures
        rows = collected.map do |index, input, error|
          Failures::Row.new(index, input, error || Error.new("it was cut off: its thread was killed"))
        end
        rows.sort_by(&:index)
      end

      private

      # A stream has no partitions.
      def closer_look
        { settings: @options.overview, history: { rates: rate_history(HISTORY_PERIOD) } }
      end

      def time_limit(seconds, interrupt)
        seconds && TimeLimit.new(seconds, method(:place_of), raises: interrupt)
      end

      # What {WorkShaper.current} returns.
      def current
        index, failure, = work_here
        Current.new(self, @time_limit, index, failure) if index
      end

      # What tells the log which work ignores its timeout.
      def place_of(thread)
        row = tries.find { |try| try.thread.equal?(thread) }
        row ? { index: row.offset } : {}
      end

      # An event about an input.
      def tell(event, input, _partition, index)
        events.publish(event) { { input: input, index: index, **yield } }
      end

      # It has nothing to report.
      def log_shutdown; end

      def beat; end
    end

    private_constant :Pool
  end
end
