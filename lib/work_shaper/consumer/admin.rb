# frozen_string_literal: true

require_relative "group_requests"

module WorkShaper
  class Consumer
    # What can be asked and changed of a group, and of topics, from outside of the group. Everything ends within a
    # limit.
    #
    # @private
    class Admin
      include Clock

      ANSWER_TIME = 10 # seconds for each answer
      SLICE = 100 # milliseconds in which nobody looks for an interrupt
      EMPTY = ["Empty", GroupStateRequest::NONE].freeze

      # Errors by which a broker says that a group has members.
      BUSY = %i[unknown_member_id illegal_generation rebalance_in_progress stale_member_epoch non_empty_group].freeze

      # Errors of brokers that have just started, or changed.
      UNREADY = %i[coordinator_load_in_progress coordinator_not_available not_coordinator leader_not_available
                   not_leader_for_partition].freeze

      # What librdkafka reports and mends by itself.
      TRANSIENT = %i[transport all_brokers_down resolve timed_out].freeze

      # What it tells librdkafka: nothing is committed by itself, and it begins where it is told to.
      SETTINGS = {
        "enable.auto.commit" => "false", "enable.auto.offset.store" => "false", "enable.partition.eof" => "false",
        "auto.offset.reset" => "earliest", "fetch.wait.max.ms" => "10"
      }.freeze

      # A group: its state as Kafka calls it, and who its members are, as far as they can be named.
      Group = Struct.new(:name, :state, :members) do
        def members?
          members.any? || !EMPTY.include?(state)
        end
      end

      # For {Arrival}.
      Brokers = Struct.new(:servers, :start_timeout)

      # Partitions come only when they are asked for.
      #
      # @private
      module Unmoved
        class << self
          def rebalance(change)
            change.carry_out
          end

          def proceed; end
        end
      end

      # Makes one for the time of the block.
      #
      # @param config [Hash{String => String}] with the `group.id` of the group
      # @param listener [#rebalance, #proceed] is told of each {Rebalance::Change}, if the client joins the group; and
      #   again and again while it leaves
      # @yieldparam admin [Admin]
      # @raise [ArgumentError] librdkafka does not know a setting
      # @raise [NoBroker, NotAllowed]
      def self.open(config, listener = Unmoved)
        admin = new(config, listener)
        admin.await_broker
        yield admin
      ensure
        admin&.close
      end

      # @return [Client]
      attr_reader :client

      # @return [String] the group's name
      attr_reader :group_id

      def initialize(config, listener)
        config = config.merge(SETTINGS)
        Client.check(config)
        @brokers = Brokers.new(config["bootstrap.servers"] || config["metadata.broker.list"], ANSWER_TIME)
        @group_id = config.fetch("group.id")
        @listener = listener
        @client = Client.new(config, listener)
        @guard = @client.guard
      end

      def await_broker
        Arrival.new(@client, @brokers).await_broker { false }
      end

      # @return [Integer]
      # @raise [NoTopic]
      def partition_count(topic)
        count = @client.partition_count(topic)
        raise NoTopic, "topic #{topic.inspect} does not exist at #{@brokers.servers}" unless count.positive?

        count
      end

      # @return [Group]
      def group
        Group.new(group_id, answer_of { GroupStateRequest.new(@guard, limit, group_id) }, members)
      end

      # All that the group has committed.
      #
      # @return [Hash{Array(String, Integer) => OffsetList::Committed}]
      def committed
        answer_of { CommittedRequest.new(@guard, limit, group_id) }
      end

      # Where partitions end for a reader, and where they begin.
      #
      # @return [Hash{Array(String, Integer) => Integer}] without those whose leader does not know
      def ends(topic_partitions)
        offsets(topic_partitions, Queries::LATEST)
      end

      def beginnings(topic_partitions)
        offsets(topic_partitions, Queries::EARLIEST)
      end

      # Has the group, which must have no members, go on from there.
      #
      # @param topic_partition [Array(String, Integer)]
      # @param row [OffsetList::Committed]
      # @raise [Error] it has members
      def commit(topic_partition, row)
        answer_of { CommitRequest.new(@guard, limit, group_id, { topic_partition => row }) }
      rescue Rdkafka::RdkafkaError => e
        raise unless BUSY.include?(e.code)

        raise Error, "group #{group_id.inspect} has members: Kafka refuses to change its offsets (#{e.message})"
      end

      # @return [Message, nil] the first one there or behind; nil: there is none up to the end
      # @raise [Error] it did not come in time
      def message_at(topic_partition, offset)
        log_end = ends([topic_partition])[topic_partition]
        return if log_end.nil? || offset >= log_end

        @client.assign({ topic_partition => offset }, incremental: false)
        await("the message at offset #{offset} of #{topic_partition.join("/")}") do
          found = take(1).first
          break found if found
          break if @client.queries.positions([topic_partition])[topic_partition].to_i >= log_end
        end
      end

      # @return [Array<Message>] up to so many, which came within a moment
      # @raise [Rdkafka::RdkafkaError] one of the partitions cannot be read
      def take(count)
        messages = Client.shielded { @client.take(count, SLICE) }
        failure = @client.failures.shift
        raise failure.error if failure && !TRANSIENT.include?(failure.code)

        messages
      end

      # Calls the block again and again until it returns what is true.
      #
      # @raise [Error] it does not in time
      def await(what, seconds = ANSWER_TIME)
        deadline = now + seconds
        loop do
          found = yield and return found

          raise Error, "#{what} did not come from #{@brokers.servers} within #{seconds} s" if now >= deadline
        end
      end

      # Leaves the group, too, if the client has joined it.
      def close
        Departure.new(@client, @listener, static: false).leave
      end

      # Without its config, which holds passwords.
      def inspect
        "#<#{self.class}>"
      end

      private

      # Of a group that is not there, some brokers say so.
      def members
        answer_of { MembersRequest.new(@guard, limit, group_id) }
      rescue Rdkafka::RdkafkaError => e
        raise unless e.code == :group_id_not_found

        []
      end

      def limit
        ANSWER_TIME * 1000
      end

      def offsets(topic_partitions, which)
        return {} if topic_partitions.empty?

        answer_of { @client.queries.request_offsets(topic_partitions, which) }
      end

      # Of the request that the block makes; of another one, while brokers are not ready.
      def answer_of(&request)
        deadline = now + ANSWER_TIME
        begin
          single_answer(&request)
        rescue Rdkafka::RdkafkaError => e
          raise unless UNREADY.include?(e.code) && now < deadline

          sleep(SLICE / 1000.0)
          retry
        end
      end

      def single_answer
        request = yield
        await("an answer") { request.answer(SLICE) }
      ensure
        request&.close
      end
    end

    private_constant :Admin
  end
end
