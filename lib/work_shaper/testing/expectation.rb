# frozen_string_literal: true

module WorkShaper
  module Testing
    # What is expected of a result or a consumer, as a matcher of RSpec; Minitest's assertions ask the same objects.
    #
    # @private
    class Expectation
      # @return [Boolean]
      def matches?(actual)
        @problem = problem(actual)
        @problem.nil?
      end

      # @return [String]
      def failure_message
        "#{@problem}\n#{seed_note}"
      end

      # @return [String]
      def failure_message_when_negated
        "expected it not to #{description}\n#{seed_note}"
      end

      private

      def seed_note
        "(seed #{@seed}: repeat it with #{Seed::VARIABLE}=#{@seed})"
      end

      def result_of(actual)
        raise TypeError, "#{actual.inspect} is not what consume or session returned" unless actual.is_a?(Result)

        @seed = actual.seed
        actual
      end
    end

    private_constant :Expectation
  end
end

require_relative "expectation/wanted"
require_relative "expectation/tries"
require_relative "expectation/acknowledged"
require_relative "expectation/snapshot"
require_relative "expectation/repeatable"
