# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The partitions that are ours. rdkafka calls it while messages are taken or the client is closed, always on the
    # polling thread.
    #
    # @private
    class Assignment
      # @return [Hash{String => Array(String, Integer)}] topic and partition by the manager's name for them
      attr_reader :places

      # @return [Integer] how often it changed
      attr_reader :version

      # What went wrong in a call; rdkafka would swallow it.
      attr_reader :failure

      # @param crew [Crew] is told of partitions that go
      # @param listener [Object, nil] the caller's own rebalance listener, called after us
      def initialize(crew, listener)
        @crew = crew
        @listener = listener
        @places = {}.freeze
        @version = 0
        @goers = []
      end

      # It is asked what is assigned: what an event brings depends on the protocol and on librdkafka's version. (With
      # KIP-848, 2.8.0 brings the whole assignment, and no word on what left it.)
      attr_writer :client

      # Calls the block with the places that go, before they are forgotten.
      def on_leaving(&block)
        @goers << block
      end

      def on_partitions_assigned(list)
        guarded(:on_partitions_assigned, list) do
          update({}) if @client.eager? # it starts all over again from what is committed, also what stays ours
          update(current)
        end
      end

      def on_partitions_revoked(list)
        guarded(:on_partitions_revoked, list) { update(current.except(*named(pairs(list)).keys)) }
      end

      # Fences everything: nothing of it is stored any more.
      def leave_all
        update({})
      end

      def ours?(message)
        @places.key?(Assignment.name_of(message.topic, message.partition))
      end

      def self.name_of(topic, partition)
        "#{topic}/#{partition}"
      end

      private

      def guarded(event, list)
        yield
        @listener.public_send(event, list) if @listener.respond_to?(event)
      rescue StandardError => e
        @failure ||= e
      end

      def update(now)
        before = @places
        gone = before.except(*now.keys)
        come = now.except(*before.keys)
        @places = now.freeze
        @version += 1
        leave(gone) if gone.any?
        Note.info(message: "Assigned", partitions: come.keys) if come.any?
      end

      def leave(gone)
        dropped = gone.keys.sum { |name| @crew.revoke(name).size }
        @goers.each { |block| block.call(gone) }
        Note.info(message: "Revoked", partitions: gone.keys, dropped: dropped)
      end

      def current
        named(@client.assignment)
      end

      def named(pairs)
        pairs.to_h { |topic, partition| [Assignment.name_of(topic, partition).freeze, [topic, partition].freeze] }
      end

      def pairs(list)
        list.to_h.flat_map { |topic, partitions| partitions.to_a.map { |partition| [topic, partition.partition] } }
      end
    end

    private_constant :Assignment
  end
end
