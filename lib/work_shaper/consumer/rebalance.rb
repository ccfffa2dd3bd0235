# frozen_string_literal: true

module WorkShaper
  class Consumer
    # librdkafka's callback for partitions that come and go. Called on the polling thread, inside take or close. It only
    # notes what is asked for: librdkafka waits, and is polled meanwhile, until the change is carried out.
    #
    # @private
    class Rebalance
      # What is asked for in one call.
      class Change
        # @return [Rdkafka::Consumer::TopicPartitionList] the partitions
        attr_reader :list

        # @return [Array<Array(String, Integer)>] the same
        attr_reader :topic_partitions

        # @return [Integer] the group's generation in which it was asked for
        attr_reader :generation

        # @param client [Client]
        # @param native [FFI::Pointer] librdkafka's list of partitions, which will not be there later
        # @param coming [Boolean] whether the partitions come, or go
        # @param incremental [Boolean] whether they are added to those that are there, or taken from them
        # @param generation [Integer] the group's in which it is asked for
        def initialize(client, native, coming:, incremental:, generation:)
          @client = client
          @list = Rdkafka::Consumer::TopicPartitionList.from_native_tpl(native).freeze
          @topic_partitions = OffsetList.places(native)
          @coming = coming
          @incremental = incremental
          @generation = generation
        end

        # Whether partitions come.
        def coming?
          @coming
        end

        # Whether the others stay as they are.
        def incremental?
          @incremental
        end

        # Whether they take the place of those that are there. (What goes with them is not revoked before.)
        def replacing?
          @coming && !@incremental
        end

        # Whether librdkafka has been told.
        def carried_out?
          @carried_out
        end

        # Whether the partitions may have other owners already. (When it was carried out, librdkafka has forgotten it.)
        def lost?
          @lost ||= !@coming && !@carried_out && @client.lost?
        end

        # Whether nothing comes, since librdkafka has left the group meanwhile: with KIP-848, 2.8 does so without
        # waiting for the answer, and would never take the partitions back. (Others than those that replace what is
        # there it takes back, and must find there.)
        def declined?
          replacing? && @client.unsubscribed?
        end

        # @param offsets [Hash{Array(String, Integer) => Integer}] where partitions begin that come, if that is not
        #   where the group is
        # @return [String, nil] what librdkafka says is wrong
        def carry_out(offsets = {})
          @carried_out = true
          return @client.unassign(topic_partitions, incremental: @incremental) unless @coming

          coming = declined? ? [] : topic_partitions
          @client.assign(coming.to_h { |place| [place, offsets[place]] }, incremental: @incremental)
        end
      end

      # @param client [Client]
      # @param listener [#rebalance] is told of each {Change}
      def initialize(client, listener)
        @client = client
        @listener = listener
      end

      # @param native [FFI::Pointer] the client's handle
      # @param code [Integer] what is asked for
      # @param partitions [FFI::Pointer] librdkafka's list
      def call(native, code, partitions, _opaque)
        # Asked for now: librdkafka may never answer later, while it is being closed.
        incremental = Client.call(:string, "rebalance_protocol", native) == "COOPERATIVE"
        generation = @client.generation
        coming = code == Rdkafka::Bindings::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
        change = Change.new(@client, partitions, coming: coming, incremental: incremental, generation: generation)
        @client.membership.asked_for(change)
        @listener.rebalance(change)
        @client.interrupt # the change may have to be carried out
      end
    end

    private_constant :Rebalance
  end
end
