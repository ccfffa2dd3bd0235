# frozen_string_literal: true

module WorkShaper
  class Consumer
    # What any thread may ask of librdkafka, and of brokers through it, while another one polls. The client is not
    # closed in the middle of a call, and no call reaches one that is closed: rdkafka's own guard sees to that.
    #
    # @private
    class Queries
      # Stand for an offset where librdkafka takes a time.
      EARLIEST = -2
      LATEST = -1

      READ_COMMITTED = 1

      INTERNAL_TOPIC = "__consumer_offsets"

      REQUEST_TIME = 5_000 # milliseconds for the answer to a request, behind that to a fetch

      # @return [Hash{Array(String, Integer) => Integer}] partitions whose position is wrong, and how far it is
      attr_reader :astray

      # @param consumer [Rdkafka::Consumer]
      # @param intake [Intake] of the same client
      # @param read_committed [Boolean] whether the end of a partition is the end of what such a reader gets
      # @param fetch_wait [Integer] milliseconds for which a broker may keep the answer to a fetch back
      def initialize(consumer, intake, read_committed, fetch_wait)
        @intake = intake
        @guard = consumer.instance_variable_get(:@native_kafka)
        @read_committed = read_committed
        @limit = REQUEST_TIME + fetch_wait
        @astray = {}.freeze
      end

      # What the coordinator of the group says is committed; nil where nothing is. Then what is prepared is committed
      # ({GroupOffsets#prepare_commit}), before Ruby runs anything else.
      #
      # @return [Array(Hash{Array(String, Integer) => Integer, nil}, Boolean)] that, and whether anything was committed
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds; what is prepared is forgotten
      def committed(topic_partitions, milliseconds)
        sent = false
        known = OffsetList.ask(topic_partitions) do |native|
          code, sent = @guard.with_inner { @intake.committed(native.address, milliseconds) }
          code
        end
        [topic_partitions.to_h { |place| [place, known[place]&.offset] }, sent]
      end

      # Behind the last message that was taken, and what was skipped behind it: control records, aborted transactions.
      # Nil: nothing was yet, or that is not known. Asks no broker.
      #
      # @return [Hash{Array(String, Integer) => Integer, nil}]
      def positions(topic_partitions)
        known = OffsetList.with(OffsetList.every(topic_partitions)) do |native|
          @guard.with_inner { |inner| Client.call(:int, "position", inner, native) }
          OffsetList.read(native)
        end
        topic_partitions.to_h do |place|
          offset = known[place]&.offset
          [place, offset && offset > @astray.fetch(place, -1) ? offset : nil]
        end
      end

      # librdkafka's position of the partition is wrong: it goes on with an error, and does not go back when the offsets
      # do, until it is passed.
      def went_astray(topic, partition)
        place = [topic, partition].freeze
        @astray = @astray.except(place).freeze
        @astray = @astray.merge(place => positions([place])[place] || -1).freeze
      end

      # The positions of partitions were set.
      def sought(topic_partitions)
        @astray = @astray.except(*topic_partitions).freeze
      end

      # Asks the leaders of partitions for their first offsets, or their ends.
      #
      # @param offset [Integer] EARLIEST or LATEST
      # @return [OffsetsRequest]
      def request_offsets(topic_partitions, offset)
        offsets = OffsetList.every(topic_partitions, offset)
        OffsetsRequest.new(@guard, @limit, offsets, @read_committed ? READ_COMMITTED : 0)
      end

      # Asks a broker whether topics are there, and may be read.
      #
      # @return [TopicsRequest]
      def request_topics(names)
        TopicsRequest.new(@guard, @limit, names)
      end

      # Asks a broker for nothing but an answer, by a topic of Kafka's own, whatever is said of that.
      #
      # @return [TopicsRequest]
      def request_presence
        TopicsRequest.new(@guard, @limit, [INTERNAL_TOPIC])
      end

      # What the group calls this member; empty: the group does not know it.
      #
      # @return [String]
      def member_id
        @guard.with_inner do |inner|
          text = Client.call(:pointer, "memberid", inner)
          text.null? ? "" : text.read_string.tap { Client.call(:void, "mem_free", inner, text) }
        end
      end

      # Whether a broker answers within so many milliseconds. (Not all of them have a cluster id to ask for.)
      def reachable?(milliseconds)
        FFI::MemoryPointer.new(:pointer) do |metadata|
          @guard.with_inner do |inner|
            code = Client.call(:int, "metadata", inner, 0, nil, metadata, milliseconds)
            Client.call(:void, "metadata_destroy", metadata.read_pointer) if code.zero?
            return code.zero?
          end
        end
      end
    end

    private_constant :Queries
  end
end
