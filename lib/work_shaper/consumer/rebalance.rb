# frozen_string_literal: true

module WorkShaper
  class Consumer
    # librdkafka's callback for partitions that come and go. Called on the polling thread, inside take or close.
    #
    # @private
    class Rebalance
      # Values of auto.offset.reset for which a partition without a commit begins at its end.
      AT_END = %w[latest largest end].freeze
      ANSWER_TIME = 5000 # milliseconds for the broker's answer to where partitions begin

      # @param client [Client]
      # @param listener [#on_partitions_assigned, #on_partitions_revoked] is called after the partitions were
      #   (un)assigned, with rdkafka's list of them
      # @param reset [String, nil] the value of auto.offset.reset
      def initialize(client, listener, reset)
        @client = client
        @listener = listener
        @at_end = AT_END.include?(reset)
      end

      # @param native [FFI::Pointer] the client's handle
      # @param code [Integer] what is asked for
      # @param partitions [FFI::Pointer] librdkafka's list
      def call(native, code, partitions, _opaque)
        # Asked for before the partitions are gone: librdkafka may never answer afterwards, while it is being closed.
        incremental = Client.call(:string, "rebalance_protocol", native) == "COOPERATIVE"
        list = Rdkafka::Consumer::TopicPartitionList.from_native_tpl(partitions).freeze
        if code == Rdkafka::Bindings::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
          assign(native, partitions, list, incremental)
          @listener.on_partitions_assigned(list)
        else
          unassign(native, partitions, incremental)
          @listener.on_partitions_revoked(list)
        end
      end

      private

      def assign(native, partitions, list, incremental)
        begins = @at_end ? begin_at_end(partitions, list) : {}
        if incremental then incrementally("assign", native, partitions)
        else
          Client.call(:int, "assign", native, partitions)
        end
        begins.each { |(topic, partition), offset| @client.store(topic, partition, offset) }
      end

      def unassign(native, partitions, incremental)
        return incrementally("unassign", native, partitions) if incremental

        Client.call(:int, "assign", native, FFI::Pointer::NULL)
      end

      def incrementally(change, native, partitions)
        error = Client.call(:pointer, "incremental_#{change}", native, partitions)
        Client.call(:void, "error_destroy", error) unless error.null?
      end

      # Where a group without a commit begins at the end, that end is committed as soon as the partition is assigned.
      # Otherwise what comes before the first commit would be skipped by whoever has the partition next. Sets the offset
      # of each such partition in librdkafka's list. An outage leaves it to librdkafka.
      def begin_at_end(partitions, list)
        ends = @client.end_offsets(@client.uncommitted(list, ANSWER_TIME), ANSWER_TIME)
        ends.each do |(topic, partition), offset|
          Rdkafka::Bindings.rd_kafka_topic_partition_list_set_offset(partitions, topic, partition, offset)
        end
      rescue Rdkafka::RdkafkaError
        {}
      end
    end

    private_constant :Rebalance
  end
end
