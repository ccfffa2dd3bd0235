# frozen_string_literal: true

module WorkShaper
  class Stream
    # The keywords of a stream, checked. Nothing comes from the environment, and nothing is clamped.
    #
    # @private
    class Options
      # What is decided by a {RetryPolicy}.
      POLICY = %i[attempts wait jitter rules give_up timeout].freeze
      # The others, and what counts if they are not said.
      DEFAULTS = { concurrency: 25, ordered: true, max_in_flight: nil, key: nil, priority: nil, rate: nil,
                   deadline: nil, on_error: nil, interrupt: true, local: nil, release: nil, progress: nil }.freeze
      # What each callable is called with.
      CALLABLES = { key: "input", priority: "input", on_error: "error, input", local: "", release: "local",
                    progress: "done, total" }.freeze
      LARGEST = Settings::LARGEST
      Numbers = RetryPolicy::Numbers
      private_constant :LARGEST, :Numbers

      # @return [RetryPolicy]
      attr_reader :policy
      # @return [Integer]
      attr_reader :concurrency
      # @return [Symbol] what giving up means where no rule says otherwise, :raise, :collect, :skip, or a callable
      attr_reader :give_up

      def initialize(words)
        Settings.refuse_unknown(words, DEFAULTS.keys + POLICY, called: "keywords")
        @said = DEFAULTS.merge(words.except(*POLICY))
        @give_up = words.fetch(:give_up, :raise)
        @policy = policy_of(words.slice(*POLICY).merge(breaker: false))
        check
      end

      # @param name [Symbol]
      # @return [Object] what was said, or its default
      def [](name)
        @said[name]
      end

      # @return [Hash{Symbol => Object}] what is in force, to be shown
      def overview
        { concurrency: concurrency, max_in_flight: seats, **@said.slice(:ordered, :interrupt, :deadline),
          key: !@said[:key].nil?, rate: @said[:rate] && "limited",
          **policy.overview.except(:dead_letter_topics, :breaker), give_up: RetryPolicy.name_of(give_up) }
      end

      # @param count [Object]
      # @return [Integer]
      # @raise [TypeError, ArgumentError]
      def concurrency=(count)
        @concurrency = whole(:concurrency, count)
      end

      # @return [Hash{Symbol => Object}] for the native half
      def native
        { concurrency: concurrency, seats: seats, deadline: nanoseconds(@said[:deadline]),
          collects: give_up == :collect, release: guarded(@said[:release]),
          **@said.slice(:ordered, :interrupt, :key, :priority, :rate, :local),
          max_in_queue: LARGEST, max_in_flight: LARGEST, offset_commit_period_ms: 5, heartbeat_period_sec: 0,
          stuck_after_ms: 0, acks: :latest }
      end

      private

      def policy_of(words)
        RetryPolicy.new(words, environment: {}, topics: false, defaults: { attempts: 1, give_up: :raise },
                               actions: Actions.new, on_trouble: SafeLog.method(:trouble))
      end

      def check
        self.concurrency = @said[:concurrency]
        whole(:max_in_flight, @said[:max_in_flight]) unless @said[:max_in_flight].nil?
        CALLABLES.each { |name, arguments| @said[name] = callable(name, @said[name], arguments) }
        %i[ordered interrupt].each { |name| flag(name, @said[name]) }
        @said[:deadline] = Numbers.seconds_or_none(@said[:deadline], "deadline")
        @said[:rate] = rate(@said[:rate])
        raise ArgumentError, "release is given, but no local to release" if @said[:release] && !@said[:local]
      end

      def seats
        @said[:max_in_flight] || (4 * concurrency)
      end

      def callable(name, value, arguments)
        value.nil? ? nil : Callbacks.check(name, value, arguments)
      end

      def whole(name, value)
        return value if value.is_a?(Integer) && value.between?(1, LARGEST)

        Numbers.refuse(value, name.to_s, "an Integer from 1 to #{LARGEST}", Integer)
      end

      def flag(name, value)
        Numbers.refuse(value, name.to_s, "true or false") unless [true, false].include?(value)
      end

      def rate(value)
        case value
        when nil, Rate then value
        when Numeric then Rate.new(value)
        else Numbers.refuse(value, "rate", "a number per second, a WorkShaper::Rate, or nil: as fast as it goes")
        end
      rescue ArgumentError => e
        raise ArgumentError, "rate: #{e.message}"
      end

      # The thread that ends has nobody to raise to.
      def guarded(release)
        release && lambda do |local|
          Guard.run(->(error) { SafeLog.trouble("Error in release", error) }) { release.call(local) }
        end
      end

      def nanoseconds(seconds)
        seconds && (seconds * 1_000_000_000).ceil
      end
    end

    private_constant :Options
  end
end
