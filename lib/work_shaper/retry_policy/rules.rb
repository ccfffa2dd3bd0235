# frozen_string_literal: true

module WorkShaper
  class RetryPolicy
    # What to do about certain errors.
    class Rules
      # What to do about a failed try. `attempts` is Float::INFINITY when unlimited, and 0 when its message is given up
      # at once.
      Rule = Struct.new(:attempts, :wait, :jitter, :give_up) do
        # @return [Hash{Symbol => Object}] to be shown
        def overview
          { attempts: attempts == Float::INFINITY ? "unlimited" : attempts, wait: wait.to_s, jitter: jitter,
            give_up: RetryPolicy.name_of(give_up) }
        end
      end

      # Which words a rule may change, and how each is checked.
      CHECKS = {
        attempts: ->(value, source, _actions) { Numbers.attempts(value, source) },
        wait: ->(value, source, _actions) { Wait.check(value, source) },
        jitter: ->(value, source, _actions) { Numbers.jitter(value, source) },
        give_up: ->(value, source, actions) { actions.check(value, source) }
      }.freeze

      # How deep causes are looked at. A `cause` that is overridden may make a new one each time.
      MOST_CAUSES = 50

      # A rule and what it is for.
      Entry = Struct.new(:matcher, :source, :rule) do
        def matches?(error)
          matcher === error # rubocop:disable Style/CaseEquality -- a class, a module or a proc, as in `rescue` and `case`
        end
      end
      private_constant :MOST_CAUSES, :Entry

      # @param values [Hash{Object => Object}] what the user wrote
      # @param keywords [Rule] what a rule is completed with
      # @param actions [Actions] checks what giving up means
      # @param trouble [#call(source, exception)] is told what a matcher raised
      # @raise [TypeError, ArgumentError]
      def initialize(values, keywords, actions, trouble)
        unless values.is_a?(Hash)
          Numbers.refuse(values, "rules", "a Hash of classes, modules or procs to what is to be done")
        end

        @keywords = keywords
        @actions = actions
        @trouble = trouble
        @entries = values.map { |key, value| entry(key, value, "rules[#{key.inspect}]") }.freeze
        freeze
      end

      # The first rule that matches the error; else the first that matches its cause; and so on.
      #
      # @param error [Exception]
      # @return [Rule, nil]
      def for(error)
        return if @entries.empty?

        each_cause(error) do |raised|
          found = @entries.find { |entry| guarded(entry.source) { entry.matches?(raised) } }
          return found.rule if found
        end
        nil
      end

      # @return [Hash{String => Hash}] to be shown
      def overview
        @entries.to_h { |entry| [entry.matcher.is_a?(Module) ? entry.matcher.to_s : entry.source, entry.rule.overview] }
      end

      # @param rule [Rule]
      # @param source [String] where its attempts are written
      # @raise [ArgumentError] its attempts are limited, and nothing says what comes then
      def self.require_give_up(rule, source, actions)
        return if rule.give_up || rule.attempts == Float::INFINITY

        raise ArgumentError, "#{source} is #{rule.attempts}, but there is no give_up, which says what becomes of a " \
                             "message whose attempts are used up; it must be #{actions.accepted}"
      end

      private

      def guarded(source, &call)
        Guard.run(->(error) { @trouble.call(source, error) }, &call)
      end

      # The error, its cause, the cause of that, and so on.
      def each_cause(error)
        seen = {}.compare_by_identity
        while error && !seen.key?(error) && seen.size <= MOST_CAUSES
          yield error
          seen[error] = true
          error = cause_of(error)
        end
      end

      def cause_of(error)
        cause = guarded("cause of #{Kernel.instance_method(:class).bind_call(error)}") { error.cause }
        Exception === cause ? cause : nil
      end

      def entry(key, value, source)
        Entry.new(matcher(key, source), source, value.is_a?(Hash) ? changed(value, source) : at_once(value, source))
             .freeze
      end

      def matcher(key, source)
        case key
        when Proc, Method then Callbacks.check(source, key, "error")
        when Class then key if can_match?(key) || refuse_class(key)
        when Module then key
        else Numbers.refuse(key, "a key of rules", "a class of exceptions, a module, a Proc or a Method")
        end
      end

      # A class that is none of exceptions can, if it is above them (Object) or has its own idea of ===. (Some classes
      # have a `method` of their own.)
      def can_match?(key)
        !(key <=> Exception).nil? || Kernel.instance_method(:method).bind_call(key, :===).owner != Module
      end

      def refuse_class(key)
        raise ArgumentError, "a key of rules is #{key.inspect}, which is no class of exceptions: no error is one of it"
      end

      def at_once(value, source)
        unless value.respond_to?(:call) || value.is_a?(String) || value.is_a?(Symbol)
          Numbers.refuse(value, source, "#{@actions.accepted}, or a Hash of #{CHECKS.keys.join(", ")}")
        end

        Rule.new(0, @keywords.wait, @keywords.jitter, @actions.check(value, source)).freeze
      end

      def changed(changes, source)
        unknown = changes.keys - CHECKS.keys
        unless unknown.empty?
          raise ArgumentError, "#{source} has #{unknown.map(&:inspect).join(", ")}; " \
                               "it may have #{CHECKS.keys.join(", ")}"
        end

        rule = @keywords.dup
        changes.each { |name, value| rule[name] = CHECKS[name].call(value, "#{source}[#{name.inspect}]", @actions) }
        self.class.require_give_up(rule, "#{source}[:attempts]", @actions)
        rule.freeze
      end
    end

    private_constant :Rules
  end
end
