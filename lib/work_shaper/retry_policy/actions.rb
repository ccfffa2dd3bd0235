# frozen_string_literal: true

module WorkShaper
  class RetryPolicy
    # What giving a message up can mean: a topic, :skip, :stop, or a callable that says which. Knows every topic that
    # the user named, so that they can be looked for before the first message needs one.
    class Actions
      NAMED = %i[skip stop].freeze
      private_constant :NAMED

      # @return [Array<String>] all topics that were named
      attr_reader :topics

      # @param allowed [Boolean] whether topics can be named
      def initialize(allowed)
        @allowed = allowed
        @topics = []
      end

      # @param value [Object] what the user wrote
      # @param source [String] where
      # @return [String, Symbol, #call]
      # @raise [TypeError, ArgumentError]
      def check(value, source)
        return value if named.include?(value)
        return topic(value, source) if value.is_a?(String)
        return Callbacks.check(source, value, arguments) if value.respond_to?(:call) && !value.is_a?(Symbol)

        Numbers.refuse(value, source, accepted, Symbol)
      end

      # @param values [Object] topics that a callable may return
      # @param source [String] where the user wrote them
      # @raise [TypeError, ArgumentError]
      def add_topics(values, source)
        Numbers.refuse(values, source, "an Array of topics") unless values.is_a?(Array)

        values.each_with_index do |value, index|
          Numbers.refuse(value, "#{source}[#{index}]", "a topic's name, a String") unless value.is_a?(String)
          topic(value, "#{source}[#{index}]")
        end
      end

      # @param value [Object] what a callable returned
      # @return [String, Symbol] a topic, :skip, :stop or :done
      # @raise [ArgumentError] it is a topic that the user did not name
      def returned(value)
        return value if NAMED.include?(value)
        return :done unless String === value

        @topics.find { |topic| topic == value } or
          raise ArgumentError, "give_up returned #{value.inspect}; it must be #{returnable}, or anything else but a " \
                               "String: the message is done"
      end

      # @return [String] what can be written for give_up
      def accepted
        "#{"a topic (a String), " if @allowed}:skip, :stop, or a callable: ->(failure) { ... }"
      end

      private

      def named
        NAMED
      end

      def arguments
        "failure"
      end

      def topic(value, source)
        unless @allowed
          raise ArgumentError, "#{source} is #{value.inspect}; topics belong to a Consumer, here it must be #{accepted}"
        end
        if value.empty?
          raise ArgumentError, "#{source} is \"\"; a topic must have a name (:skip finishes a message without one)"
        end

        @topics << value.dup.freeze unless @topics.include?(value)
        @topics.find { |topic| topic == value }
      end

      def returnable
        return ":skip or :stop (topics belong to a Consumer)" unless @allowed

        "a topic named in give_up, rules or dead_letter_topics (#{@topics.map(&:inspect).join(", ")}), :skip or :stop"
      end
    end
  end
end
