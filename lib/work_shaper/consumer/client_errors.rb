# frozen_string_literal: true

module WorkShaper
  class Consumer
    # What librdkafka reports instead of messages: some of it ends the consumer, of the rest the log is told.
    #
    # @private
    class ClientErrors
      ENDING = %i[fatal auto_offset_reset].freeze # the second is asked for by its name

      # @return [Integer] how many did not end it
      attr_reader :count

      # @param options [Options]
      # @param assignment [Assignment]
      # @param troubles [Troubles]
      def initialize(options, assignment, troubles)
        @options = options
        @assignment = assignment
        @troubles = troubles
        @count = 0
      end

      # @param failures [Array<Client::Failure>] is emptied
      # @raise [Rdkafka::RdkafkaError, NoTopic] what ends it
      # @raise [Exception] what the assignment failed with
      def settle(failures)
        raise @assignment.failure if @assignment.failure

        while (failure = failures.shift)
          raise failure.error if ENDING.include?(failure.code)

          refuse_missing_topic(failure)
          @count += 1
          @troubles.report(failure)
        end
      end

      private

      # At the start a missing topic is bad input; later, a topic that went may come back.
      def refuse_missing_topic(failure)
        return unless failure.code == :unknown_topic_or_part && @assignment.version.zero? &&
                      @options.topics.include?(failure.topic) && !@options.topics_may_appear?

        raise NoTopic, "topic #{failure.topic.inspect} does not exist at #{@options.servers}"
      end
    end

    private_constant :ClientErrors
  end
end
