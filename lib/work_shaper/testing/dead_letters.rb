# frozen_string_literal: true

module WorkShaper
  module Testing
    # Takes dead letters, and confirms each at once.
    #
    # @private
    class DeadLetters
      LETTER = Consumer.const_get(:DeadLetters).const_get(:Letter)

      # @param record [Record]
      # @param clock [Clock]
      # @param config [Hash{String => String}] the consumer's
      # @param headers [#call(failure), nil] see {Consumer}
      # @yieldparam failure [Failure] what was delivered
      # @yieldparam error [Exception, nil] why it could not be sent
      def initialize(record, clock, config:, headers:, **, &answer)
        @record = record
        @clock = clock
        @group = config["group.id"]
        @headers = headers
        @answer = answer
      end

      # Sends it. The block is told what came of it.
      #
      # @return [nil] nothing is known yet
      def deliver(failure, topic)
        @answer.call(failure, refusal(failure, topic))
        nil
      end

      private

      def refusal(failure, topic)
        letter = LETTER.build(failure, topic, group: @group, headers: @headers, now: @clock.now)
        @record.dead_letter(letter, failure.message.partition)
        nil
      rescue Foreign
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- as whoever sends them does
        e
      end
    end
  end
end
