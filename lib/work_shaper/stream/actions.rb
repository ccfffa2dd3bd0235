# frozen_string_literal: true

module WorkShaper
  class Stream
    # What giving up an input can mean: its error is raised at its place, or collected; it is skipped; or a callable
    # says what comes out instead.
    #
    # @private
    class Actions < RetryPolicy::Actions
      NAMED = %i[raise collect skip].freeze
      private_constant :NAMED

      def initialize
        super(false)
      end

      # @return [String] what can be written for give_up
      def accepted
        ":raise, :collect, :skip, or a callable: ->(error, input) { replacement }"
      end

      private

      def named
        NAMED
      end

      def arguments
        "error, input"
      end

      def topic(value, source)
        raise ArgumentError, "#{source} is #{value.inspect}; in a stream it must be #{accepted}"
      end
    end

    private_constant :Actions
  end
end
