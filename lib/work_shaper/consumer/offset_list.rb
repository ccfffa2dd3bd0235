# frozen_string_literal: true

module WorkShaper
  class Consumer
    # librdkafka's lists of partitions with their offsets, as Hashes: [topic, partition] => {Committed}, offset or nil.
    #
    # @private
    module OffsetList
      # The offset from which a group goes on, and the text beside it.
      Committed = Struct.new(:offset, :metadata) do
        # Whether that, which is committed, says as much or more.
        def reached?(other)
          !other.nil? && (other.offset > offset || (other.offset == offset && other.metadata.to_s == metadata.to_s))
        end
      end

      # The type of the list's memory: rd_kafka_mem_malloc(rk, size).
      ALLOCATION = %i[pointer size_t].freeze

      class << self
        # Makes a native list for the time of the block.
        #
        # @param offsets [Hash{Array(String, Integer) => Committed, Integer, nil}]
        # @yieldparam native [FFI::Pointer]
        def with(offsets)
          native = Rdkafka::Bindings.rd_kafka_topic_partition_list_new(offsets.size)
          offsets.each_key { |place| Rdkafka::Bindings.rd_kafka_topic_partition_list_add(native, *place) }
          entries(native).zip(offsets.each_value) { |entry, offset| fill(entry, offset) if offset }
          yield native
        ensure
          Rdkafka::Bindings.rd_kafka_topic_partition_list_destroy(native) if native
        end

        # @param native [FFI::Pointer]
        # @return [Hash{Array(String, Integer) => Committed}] those that have an offset
        def read(native)
          known = entries(native).reject { |entry| entry[:offset].negative? }
          known.to_h { |entry| [place(entry), Committed.new(entry[:offset], metadata(entry))] }
        end

        # Goes through those that have an offset. librdkafka's lists of commits have all partitions that are ours, ten
        # times a second, most of them without one.
        #
        # @yieldparam place [Array(String, Integer)]
        # @yieldparam offset [Integer]
        # @yieldparam code [Integer] librdkafka's response
        def each(native)
          list = Rdkafka::Bindings::TopicPartitionList.new(native)
          type = Rdkafka::Bindings::TopicPartition
          (0...list[:cnt]).each do |index|
            next if list[:elems].get_int64((index * type.size) + type.offset_of(:offset)).negative?

            entry = type.new(list[:elems] + (index * type.size))
            yield place(entry), entry[:offset], entry[:err]
          end
        end

        # @param native [FFI::Pointer]
        # @return [Array<Array(String, Integer)>] topics and partitions
        def places(native)
          entries(native).map { |entry| place(entry) }
        end

        private

        def entries(native)
          list = Rdkafka::Bindings::TopicPartitionList.new(native)
          size = Rdkafka::Bindings::TopicPartition.size
          Array.new(list[:cnt]) { |i| Rdkafka::Bindings::TopicPartition.new(list[:elems] + (i * size)) }
        end

        def place(entry)
          [entry[:topic].dup.force_encoding(Encoding::UTF_8).freeze, entry[:partition]].freeze
        end

        def metadata(entry)
          entry[:metadata].read_string(entry[:metadata_size]) unless entry[:metadata].null?
        end

        def fill(entry, offset)
          offset = Committed.new(offset) unless offset.is_a?(Committed)
          entry[:offset] = offset.offset
          return unless offset.metadata

          size = offset.metadata.bytesize
          memory = FFI::Function.new(:pointer, ALLOCATION, Client.find("rd_kafka_mem_malloc")).call(nil, size)
          entry[:metadata] = memory.put_bytes(0, offset.metadata) # the list frees it
          entry[:metadata_size] = size
        end
      end
    end

    private_constant :OffsetList
  end
end
