# frozen_string_literal: true

require_relative "consumer"
require_relative "testing/log"
require_relative "testing/foreign"
require_relative "testing/clock"
require_relative "testing/failure"
require_relative "testing/time_limit"
require_relative "testing/work"
require_relative "testing/result"
require_relative "testing/record"
require_relative "testing/subject"
require_relative "testing/partition_log"
require_relative "testing/broker"
require_relative "testing/intake"
require_relative "testing/tracker"
require_relative "testing/sub_key"
require_relative "testing/schedule"
require_relative "testing/dead_letters"
require_relative "testing/pool"
require_relative "testing/crashes"
require_relative "testing/seed"
require_relative "testing/session"

module WorkShaper
  # Runs a consumer without Kafka and without threads, for tests: its block, retries, dead letters and order per sub key
  # as in production, on the calling thread, in an order that a seed decides.
  #
  # @example
  #   require "work_shaper/testing"
  #
  #   result = WorkShaper::Testing.consume(consumer, [{ payload: "paid", key: "a" }, { payload: "sent", key: "a" }])
  #   result.worked.map { |work| work.message.payload } #=> ["paid", "sent"]
  #   result.acknowledged #=> { "orders/0" => 2 }
  module Testing
    SafeLog.singleton_class.prepend(Log)
    Guard.singleton_class.prepend(Foreign::Passing)

    class << self
      # Works on all messages, with retries and all that follows, and commits what is finished. Connects to nothing;
      # waits pass at once.
      #
      # With `crash`, the process "dies" after the work of a message, before anything of that is committed, and a new
      # one begins where the committed offsets say: as after `kill -9`, but what is in memory stays. Nobody knows when
      # Kafka commits, so the seed decides how far back the next one begins.
      #
      # @param consumer [Consumer] it is not run, so it can be used again
      # @param messages [Array<Message, Hash>] what its topics hold: see {message}
      # @param seed [Integer, nil] decides about the order, where production leaves it open, and about commits; nil:
      #   `WORK_SHAPER_SEED`, else the seed of RSpec or Minitest (where their part of this is loaded), else a random one
      # @param crash [:after_each, Array<Integer, String>, nil] after each message, or after those of these offsets or
      #   ids ("orders/0/3")
      # @param clock [Clock] what the waits are counted with
      # @return [Result]
      # @raise [ArgumentError, TypeError] an argument is of no use; the message says what is accepted
      # @raise [GaveUp] a message was given up, and that means to stop
      # @raise [Error] a message has been tried 1,000 times, and still is to be tried again; or its work was left by
      #   throw, break or return
      # @raise [Exception] what {Consumer#run} would raise: SystemExit, say; and failed expectations of the test
      # @example
      #   WorkShaper::Testing.consume(consumer, messages, crash: :after_each)
      def consume(consumer, messages, seed: nil, crash: nil, clock: Clock.new)
        session = Session.new(consumer, seed: seed, clock: clock)
        session.deliver(messages)
        session.__send__(:work_with_crashes, crash)
        session.commit if session.running?
        session.result
      end

      # The same step by step: what happens is up to the block. At its end what is finished is committed.
      #
      # @param consumer [Consumer]
      # @param seed [Integer, nil] see {consume}
      # @param clock [Clock]
      # @yieldparam session [Session]
      # @return [Result]
      # @raise [ArgumentError, TypeError] an argument is of no use
      # @example
      #   WorkShaper::Testing.session(consumer) do |session|
      #     session.deliver([{ payload: "paid" }, { payload: "sent" }])
      #     session.work(1)
      #     session.crash
      #     session.restart
      #     session.work
      #   end
      def session(consumer, seed: nil, clock: Clock.new)
        raise ArgumentError, "no block given; it says what happens to the consumer" unless block_given?

        session = Session.new(consumer, seed: seed, clock: clock)
        yield session
        session.commit if session.running?
        session.result
      end

      # What `consume` and {Session#deliver} take for a message: a Hash. What is left out is the consumer's topic (if it
      # has one only), partition 0, the next offset of the partition, and the time of the session's clock.
      #
      # @param payload [String, nil]
      # @param fields [Hash] topic, partition, offset, key, headers, timestamp and leader_epoch, as for {Message.new}
      # @return [Hash{Symbol => Object}]
      # @raise [ArgumentError] an unknown field
      # @example
      #   WorkShaper::Testing.message("paid", key: "a", partition: 1) #=> { payload: "paid", key: "a", partition: 1 }
      def message(payload = nil, **fields)
        Broker.check_fields(fields)
        { payload: payload, **fields }
      end
    end

    private_constant :Record, :Subject, :PartitionLog, :Broker, :Intake, :Tracker, :SubKey, :Schedule, :DeadLetters,
                     :Pool, :Crashes, :Seed, :Failure, :TimeLimit, :Log, :Foreign
  end
end
