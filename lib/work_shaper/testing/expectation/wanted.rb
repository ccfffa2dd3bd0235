# frozen_string_literal: true

module WorkShaper
  module Testing
    class Expectation
      # Which message is meant: by a {Message} (its id), an Integer (its offset), a Hash (of its fields), or else what
      # matches its payload: a String, a Regexp, nil.
      #
      # @private
      class Wanted
        def initialize(meant)
          Broker.check_fields(meant) if meant.is_a?(Hash)
          @meant = meant
        end

        def matches?(message)
          case @meant
          when Message then @meant.id == message.id
          when Integer then @meant == message.offset
          when Hash then @meant.all? { |field, value| same?(value, message.public_send(field)) }
          else same?(@meant, message.payload)
          end
        end

        def inspect
          @meant.is_a?(Message) ? @meant.id : @meant.inspect
        end

        private

        # What Kafka gives has no encoding.
        def same?(wanted, there)
          wanted.is_a?(String) && there.is_a?(String) ? wanted.b == there.b : wanted === there # rubocop:disable Style/CaseEquality
        end
      end
    end
  end
end
