# frozen_string_literal: true

require_relative "../testing"
require_relative "expectation"

begin
  require "rspec"
rescue LoadError
  raise LoadError, "work_shaper/testing/rspec needs the rspec gem: bundle add rspec --group test"
end

module WorkShaper
  module Testing
    # Matchers for RSpec, which are included in all examples. The seed of {Testing.consume} is RSpec's own unless
    # `WORK_SHAPER_SEED` is set, and an example that fails says which it was.
    #
    # A message is meant by a {Message}, a Hash of fields, its offset, or what matches its payload.
    #
    # @example
    #   require "work_shaper/testing/rspec"
    #
    #   expect(result).to have_worked("paid", "sent").and have_acknowledged("orders/0" => 2)
    module Matchers
      # rubocop:disable Naming/PredicatePrefix -- matchers are no questions

      # Exactly these messages were worked on to the end, those of one sub key in this order; one that was worked on
      # twice is named twice.
      #
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @return [Object] a matcher for a {Result}
      # @example
      #   expect(result).to have_worked("paid", "sent")
      def have_worked(*messages)
        Expectation::Tries.new(:done, messages)
      end

      # Exactly these messages failed and were tried again, each named as often as that was.
      #
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @return [Object] a matcher for a {Result}
      # @example
      #   expect(result).to have_retried("paid", "paid")
      def have_retried(*messages)
        Expectation::Tries.new(:retried, messages)
      end

      # Exactly these messages were sent to a dead-letter topic, with `to` to that one.
      #
      # @param messages [Array<Message, Hash, Integer, Object>] none: any
      # @return [Object] a matcher for a {Result}
      # @example
      #   expect(result).to have_dead_lettered("garbage").to("orders-dead-letters")
      def have_dead_lettered(*messages)
        Expectation::Tries.new(:dead_lettered, messages)
      end

      # So much of these partitions is committed.
      #
      # @param offsets [Hash{String => Integer, nil}] the next offset, by "topic/partition"
      # @return [Object] a matcher for a {Result}
      # @raise [ArgumentError] it is no such Hash
      # @example
      #   expect(result).to have_acknowledged("orders/0" => 2)
      def have_acknowledged(offsets)
        Expectation::Acknowledged.new(offsets)
      end

      # rubocop:enable Naming/PredicatePrefix

      # The consumer may get messages again: it works on them, then on all of them again, with a crash after each; and
      # what it leaves is the same afterwards.
      #
      # @return [Object] a matcher for a {Consumer}; tell it the messages (`with`) and what they leave (`leaving`)
      # @example
      #   expect(consumer).to be_repeatable.with(messages).leaving { Order.order(:id).pluck(:id, :status) }
      def be_repeatable
        Expectation::Repeatable.new
      end

      # @!visibility private
      def self.include_in(config)
        Seed.framework = config.method(:seed)
        Expectation.include(::RSpec::Matchers::Composable)
        config.include(self)
        config.before { Seed.used }
        config.after do |example|
          seed = Seed.used
          config.reporter.message("#{Seed::VARIABLE}=#{seed} # #{example.location}") if seed && example.exception
        end
      end
    end
  end
end

RSpec.configure { |config| WorkShaper::Testing::Matchers.include_in(config) }
