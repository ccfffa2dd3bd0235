# frozen_string_literal: true

require_relative "../testing"
require_relative "expectation"

begin
  require "minitest"
rescue LoadError
  raise LoadError, "work_shaper/testing/minitest needs the minitest gem: bundle add minitest --group test"
end

module WorkShaper
  module Testing
    # Assertions for Minitest, which are included in all tests. The seed of {Testing.consume} is Minitest's own unless
    # `WORK_SHAPER_SEED` is set, and a test that fails says which it was.
    #
    # A message is meant by a {Message}, a Hash of fields, its offset, or what matches its payload.
    #
    # @example
    #   require "work_shaper/testing/minitest"
    #
    #   assert_worked result, "paid", "sent"
    module Assertions
      # See {Matchers#have_worked}.
      #
      # @param result [Result]
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @example
      #   assert_worked result, "paid", "sent"
      def assert_worked(result, *messages)
        assert_expectation(Expectation::Tries.new(:done, messages), result)
      end

      # See {Matchers#have_retried}.
      #
      # @param result [Result]
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @example
      #   assert_retried result, "paid", "paid"
      def assert_retried(result, *messages)
        assert_expectation(Expectation::Tries.new(:retried, messages), result)
      end

      # See {Matchers#have_dead_lettered}.
      #
      # @param result [Result]
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @param to [String, nil] the topic; nil: any
      # @example
      #   assert_dead_lettered result, "garbage", to: "orders-dead-letters"
      def assert_dead_lettered(result, *messages, to: nil)
        assert_expectation(Expectation::Tries.new(:dead_lettered, messages, to), result)
      end

      # That nothing was.
      #
      # @param result [Result]
      # @example
      #   refute_dead_lettered result
      def refute_dead_lettered(result)
        expectation = Expectation::Tries.new(:dead_lettered, [])
        refute(expectation.matches?(result), -> { expectation.failure_message_when_negated })
      end

      # See {Matchers#have_acknowledged}.
      #
      # @param result [Result]
      # @param offsets [Hash{String => Integer, nil}] the next offset, by "topic/partition"
      # @raise [ArgumentError] it is no such Hash
      # @example
      #   assert_acknowledged result, { "orders/0" => 2 }
      def assert_acknowledged(result, offsets)
        assert_expectation(Expectation::Acknowledged.new(offsets), result)
      end

      # See {Matchers#be_repeatable}.
      #
      # @param consumer [Consumer]
      # @param messages [Array<Message, Hash>] see {Testing.consume}
      # @yieldreturn [Object] what the work has left: rows of a database, say
      # @example
      #   assert_repeatable(consumer, messages) { Order.order(:id).pluck(:id, :status) }
      def assert_repeatable(consumer, messages, &state)
        assert_expectation(Expectation::Repeatable.new.with(messages).leaving(&state), consumer)
      end

      # @!visibility private
      def self.include_in(tests)
        Seed.framework = -> { ::Minitest.seed if ::Minitest.respond_to?(:seed) }
        tests.include(self)
      end

      # @!visibility private
      def after_teardown
        super
        seed = Seed.used
        warn("#{Seed::VARIABLE}=#{seed} # #{self.class}##{name}") if seed && !passed? && !skipped?
      end

      private

      def assert_expectation(expectation, actual)
        assert(expectation.matches?(actual), -> { expectation.failure_message })
      end
    end
  end
end

WorkShaper::Testing::Assertions.include_in(Minitest::Test)
