# frozen_string_literal: true

module WorkShaper
  module Testing
    # One try of a message.
    class Work
      # @return [Message] as its work got it
      attr_reader :message
      # @return [Object, nil] its sub key; nil: it has none
      attr_reader :sub_key
      # @return [Integer] 1 for the first
      attr_reader :attempt
      # @return [Symbol] `:done`; `:retried` (another try follows); when it was given up `:skipped`, `:dead_lettered`,
      #   `:given_up` (a callable took care of it) or `:stopped` (the consumer with it); `:dropped` (it failed when its
      #   partition was gone, or the consumer about to stop); `:cut_off` (its process died meanwhile)
      attr_reader :outcome
      # @return [Exception, nil] what the work raised
      attr_reader :error
      # @return [Float, nil] seconds until the next try, if one follows
      attr_reader :wait
      # @return [String, nil] where the dead letter went, if one was sent
      attr_reader :topic

      # @!visibility private
      def initialize(message, sub_key, attempt)
        @message = message
        @sub_key = sub_key
        @attempt = attempt
        @outcome = :cut_off
      end

      # @return [String] the message's id, the attempt and what came of it
      def inspect
        "#<#{self.class} #{message.id} attempt #{attempt}: #{outcome}>"
      end

      private

      def ended(outcome, error: @error, wait: @wait, topic: @topic)
        @outcome = outcome
        @error = error
        @wait = wait
        @topic = topic
      end
    end
  end
end
