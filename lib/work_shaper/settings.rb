# frozen_string_literal: true

module WorkShaper
  # The settings of a manager, checked: what was passed, else from the environment, else the default.
  module Settings
    # The largest limit, thread count or period: 2**31 - 1.
    LARGEST = (2**31) - 1

    # A setting that is a whole number.
    Whole = Struct.new(:name, :variables, :default, :smallest) do
      # @return [Integer] the value, or raises TypeError / ArgumentError that names `source`
      def check(value, source)
        value = Integer(value, 10) if value.is_a?(String) && value.ascii_only? && value.match?(/\A\d+\z/)
        return value if value.is_a?(Integer) && value.between?(smallest, LARGEST)
        return 0 if value.nil? && smallest.zero?

        error = value.is_a?(Integer) || value.is_a?(String) ? ArgumentError : TypeError
        raise error, "#{source} is #{value.inspect}; it must be #{accepted}"
      end

      private

      def accepted
        "an Integer from #{smallest} to #{LARGEST}, or a String of its digits#{" (0 or nil: none)" if smallest.zero?}"
      end
    end

    # A setting that is one of a few names.
    Choice = Struct.new(:name, :variables, :default, :choices) do
      # @return [Symbol] the value, or raises TypeError / ArgumentError that names `source`
      def check(value, source)
        found = choices.find { |choice| value == choice || value == choice.to_s }
        return found if found

        error = value.is_a?(Symbol) || value.is_a?(String) ? ArgumentError : TypeError
        raise error, "#{source} is #{value.inspect}; it must be #{choices.map(&:inspect).join(" or ")}"
      end
    end

    # Every setting, with its environment variables, of which the first one that is set counts.
    ALL = [
      Whole.new(:max_in_queue, %w[WORK_SHAPER_MAX_IN_QUEUE MAX_IN_QUEUE MAX_THREAD_QUEUE_SIZE], 25, 1),
      Whole.new(:max_in_flight, %w[WORK_SHAPER_MAX_IN_FLIGHT], 10_000, 1),
      Whole.new(:concurrency, %w[WORK_SHAPER_CONCURRENCY], 25, 1),
      Choice.new(:acks, %w[WORK_SHAPER_ACKS], :every, %i[every latest]),
      Whole.new(:offset_commit_period_ms, %w[WORK_SHAPER_OFFSET_COMMIT_PERIOD_MS], 5, 1),
      Whole.new(:heartbeat_period_sec, %w[WORK_SHAPER_HEARTBEAT_PERIOD_SEC], 60, 0)
    ].freeze

    # Words for whether something is to be.
    SWITCH = { true => true, "true" => true, "1" => true, false => false, "false" => false, "0" => false }.freeze

    private_constant :Whole, :Choice, :ALL, :SWITCH

    class << self
      # @param value [Boolean, String] what the user wrote
      # @param source [String, Symbol] where, for the error
      # @return [Boolean]
      # @raise [TypeError, ArgumentError]
      def switch(value, source)
        SWITCH.fetch(value) { RetryPolicy::Numbers.refuse(value, source, "true or false", String) }
      end

      # @param passed [Hash{Symbol => Object}] what the user passed
      # @param environment [#[]] where variables are looked up
      # @return [Hash{Symbol => Integer, Symbol}] a value for every setting
      # @raise [ArgumentError] an unknown setting, or a bad value
      # @raise [TypeError] a value of the wrong type
      # @example
      #   WorkShaper::Settings.resolve({ concurrency: "10" })[:concurrency] #=> 10
      def resolve(passed, environment = ENV)
        refuse_unknown(passed, ALL.map(&:name))
        ALL.to_h { |setting| [setting.name, value_of(setting, passed, environment)] }
      end

      # @param passed [Hash{Symbol => Object}] what the user passed
      # @param known [Array<Symbol>] what can be passed
      # @param called [String] what that is called
      # @param hint [String, nil] what else there is to say
      # @raise [ArgumentError] something else was passed
      def refuse_unknown(passed, known, called: "settings", hint: nil)
        unknown = passed.keys - known
        return if unknown.empty?

        raise ArgumentError, "unknown keyword#{"s" if unknown.size > 1}: #{unknown.map(&:inspect).join(", ")}; " \
                             "the #{called} are #{known.join(", ")}#{hint}"
      end

      private

      def value_of(setting, passed, environment)
        return setting.check(passed[setting.name], setting.name) if passed.key?(setting.name)

        variable = setting.variables.find { |name| environment[name] }
        variable ? setting.check(environment[variable], variable) : setting.default
      end
    end
  end

  private_constant :Settings
end
