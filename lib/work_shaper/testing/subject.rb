# frozen_string_literal: true

module WorkShaper
  module Testing
    # The consumer that is tested: what a session has to know of it, which nobody else may.
    #
    # @private
    class Subject
      # @raise [TypeError] it is no consumer
      # @raise [Error] it runs
      def initialize(consumer)
        unless consumer.is_a?(Consumer)
          raise TypeError, "consumer is #{consumer.inspect}; it must be a WorkShaper::Consumer"
        end
        raise Error, "the consumer runs already; test one that does not" if consumer.__send__(:running?)

        @consumer = consumer
        @options = consumer.instance_variable_get(:@options)
      end

      # What a pool is made with: sub_key, block, around, on_error and how dead letters are sent.
      #
      # @return [Hash{Symbol => Object}]
      def callbacks
        @consumer.__send__(:callbacks)
      end

      # @return [String] its consumer group
      def group
        @consumer.group
      end

      # @return [RetryPolicy]
      def policy(random)
        @options.policy.with_jitter_of(random)
      end

      # @return [Integer]
      def concurrency
        limits.fetch(:concurrency)
      end

      # @return [Integer]
      def max_in_flight
        limits.fetch(:max_in_flight)
      end

      # Whether a stop works on what waits, too.
      def drain?
        @consumer.instance_variable_get(:@drain)
      end

      # Whether {Consumer#stop} was called since it was last asked.
      def stop_asked?
        commands = @consumer.instance_variable_get(:@commands)
        asked = false
        asked = true while !commands.empty? && commands.pop
        asked
      end

      # @return [String, nil] the only topic it consumes; nil: there are several, or it has a pattern
      def topic
        name, *others = @options.topics
        name if others.empty? && !name.start_with?("^")
      end

      # @raise [ArgumentError] it does not consume the topic
      def check_topic(topic)
        return if @options.consumed_as(topic)

        raise ArgumentError, "a message is of topic #{topic.inspect}, which the consumer does not consume; it has " \
                             "#{@options.topics.join(", ")}"
      end

      private

      def limits
        Settings.resolve(@options.manager)
      end
    end
  end
end
