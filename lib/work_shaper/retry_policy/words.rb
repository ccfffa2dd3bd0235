# frozen_string_literal: true

module WorkShaper
  class RetryPolicy
    # The user's words: what was passed, else from the environment, else the default.
    class Words
      # Every word, and what counts if it is not said.
      DEFAULTS = {
        attempts: :unlimited, wait: Wait::DEFAULT_RANGE, jitter: 0.15, give_up: nil, rules: {}.freeze, breaker: true,
        timeout: nil, stuck_after: 30, dead_letter_topics: [].freeze
      }.freeze
      # Their names.
      ALL = DEFAULTS.keys.freeze

      # The numbers, which can be set from outside.
      VARIABLES = {
        attempts: "WORK_SHAPER_ATTEMPTS", wait: "WORK_SHAPER_WAIT", jitter: "WORK_SHAPER_JITTER",
        timeout: "WORK_SHAPER_TIMEOUT", stuck_after: "WORK_SHAPER_STUCK_AFTER"
      }.freeze

      # @param passed [Hash{Symbol => Object}]
      # @param defaults [Hash{Symbol => Object}] those that differ
      # @param topics [Boolean] whether there are topics
      # @param environment [#[]]
      # @raise [ArgumentError] an unknown word
      def initialize(passed, defaults, topics, environment)
        known = topics ? ALL : ALL - [:dead_letter_topics]
        hint = " (topics belong to a Consumer)" if !topics && passed.key?(:dead_letter_topics)
        Settings.refuse_unknown(passed, known, called: "words", hint: hint)
        @passed = passed
        @defaults = DEFAULTS.merge(defaults)
        @variables = VARIABLES.select { |name, variable| !passed.key?(name) && environment[variable] }
        @environment = environment
      end

      # @param name [Symbol]
      # @return [Object] what is said for it
      def [](name)
        @passed.fetch(name) { @variables.key?(name) ? @environment[@variables[name]] : @defaults[name] }
      end

      # @param name [Symbol]
      # @return [String] where that is said
      def source(name)
        @variables[name] || name.to_s
      end

      # @param actions [Actions]
      # @return [Rules::Rule] what is done about an error that no rule is for
      # @raise [TypeError, ArgumentError]
      def rule(actions)
        words = Rules::CHECKS.map do |name, check|
          said?(name) ? check.call(self[name], source(name), actions) : nil
        end
        rule = Rules::Rule.new(*words).freeze
        Rules.require_give_up(rule, source(:attempts), actions)
        rule
      end

      # @param name [Symbol]
      # @return [Integer, Float, nil] seconds; nil: none
      # @raise [TypeError, ArgumentError]
      def seconds(name)
        Numbers.seconds_or_none(self[name], source(name))
      end

      private

      # Only what giving up means may be left open; a nil that was passed is a mistake.
      def said?(name)
        @passed.key?(name) || !self[name].nil?
      end
    end

    private_constant :Words
  end
end
