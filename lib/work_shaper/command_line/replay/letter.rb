# frozen_string_literal: true

module WorkShaper
  module CommandLine
    class Replay
      # A dead letter, and what it says of the message that it was.
      #
      # @private
      class Letter
        PREFIX = "__dlq."
        TOPIC = "__dlq.errors.topic"
        PARTITION = "__dlq.errors.partition"
        ERROR = "__dlq.errors.exception.class"

        attr_reader :message

        def initialize(message)
          @message = message
        end

        # @return [String, nil] the topic that it came from
        def origin
          text(TOPIC)
        end

        # @return [Integer, nil] its partition there
        def partition
          Integer(text(PARTITION), 10, exception: false) if text(PARTITION)
        end

        # @return [String, nil] the class of the error for which it was given up
        def error
          text(ERROR)
        end

        # What is sent, with the time of now: what is as old as the original might be deleted at once.
        #
        # @return [Hash{Symbol => Object}]
        def to_send(topic)
          headers = message.headers.reject { |name, _| name.start_with?(PREFIX) }
          { topic: topic, key: message.key, payload: message.payload, headers: SENDABLE.call(headers) }
        end

        # @return [String] where it is
        def to_s
          "#{message.topic}/#{message.partition}:#{message.offset}"
        end

        SENDABLE = Consumer.const_get(:DeadLetters).const_get(:Letter).method(:sendable)
        private_constant :SENDABLE

        private

        # The last one, if there are several.
        def text(name)
          value = Array(message.headers[name]).last
          value.dup.force_encoding(Encoding::UTF_8).scrub unless value.nil?
        end
      end

      private_constant :Letter
    end
  end
end
