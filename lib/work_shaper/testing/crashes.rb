# frozen_string_literal: true

module WorkShaper
  module Testing
    # After which messages the process of a session dies, and when it commits meanwhile.
    #
    # @private
    class Crashes
      # @param crash [:after_each, Array<Integer, String>, nil] see {Testing.consume}
      # @param broker [Broker]
      # @param random [Random]
      # @raise [TypeError, ArgumentError] it is none of these, or there is no such message
      def initialize(crash, broker, random)
        unless crash.nil? || crash == :after_each || crash.is_a?(Array)
          raise TypeError, "crash is #{crash.inspect}; it must be :after_each, or an Array of offsets or ids"
        end

        @each = crash == :after_each
        @ids = crash.is_a?(Array) ? crash.flat_map { |wanted| broker.ids(wanted) }.to_h { |id| [id, true] } : {}
        @any = @each || @ids.any?
        @finished = {}
        @random = random
      end

      # Whether it dies now that the message is finished: for the first time only, so that it gets on.
      def after?(message)
        return false if !@any || @finished[message.id]

        @finished[message.id] = true
        @each || @ids.key?(message.id)
      end

      # Whether it commits now. Without crashes that makes no difference.
      def commit?
        @any && @random.rand(2).zero?
      end
    end
  end
end
