# frozen_string_literal: true

module WorkShaper
  class Consumer
    # librdkafka's lists of partitions with their offsets, as Hashes: [topic, partition] => {Committed}, offset or nil.
    #
    # @private
    module OffsetList
      # The offset from which a group goes on, and the text beside it. `covered` is not part of that: how many messages
      # whose work we finished are not repeated then.
      Committed = Struct.new(:offset, :metadata, :covered) do
        # Whether the same is committed.
        def ==(other)
          other.is_a?(self.class) && offset == other.offset && metadata == other.metadata
        end

        # Whether that, which is committed, says as much or more.
        def reached?(other)
          !other.nil? && (other.offset > offset || (other.offset == offset && other.metadata.to_s == metadata.to_s))
        end
      end

      # Of an entry in a native list, in bytes: how large it is, and where its offset lies.
      SIZE = Rdkafka::Bindings::TopicPartition.size
      OFFSET = Rdkafka::Bindings::TopicPartition.offset_of(:offset)

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

        # @return [Hash{Array(String, Integer) => Integer, nil}] every partition with the same offset
        def every(topic_partitions, offset = nil)
          topic_partitions.to_h { |place| [place, offset] }
        end

        # Has one of librdkafka's functions write the offsets of partitions into a native list.
        #
        # @param offset [Integer, nil] what is asked for
        # @yieldparam native [FFI::Pointer]
        # @yieldreturn [Integer] librdkafka's response
        # @return [Hash{Array(String, Integer) => Committed}] those that have an offset
        # @raise [Rdkafka::RdkafkaError]
        def ask(topic_partitions, offset = nil)
          return {} if topic_partitions.empty?

          with(every(topic_partitions, offset)) do |native|
            code = yield native
            raise Rdkafka::RdkafkaError, code unless code.zero?

            read(native)
          end
        end

        # @param native [FFI::Pointer]
        # @return [Hash{Array(String, Integer) => Committed}] those that have an offset
        def read(native)
          known(native).to_h { |entry| [place(entry), Committed.new(entry[:offset], metadata(entry))] }
        end

        # Goes through those that have an offset.
        #
        # @yieldparam place [Array(String, Integer)]
        # @yieldparam offset [Integer]
        # @yieldparam code [Integer] librdkafka's response
        # @yieldparam metadata [String, nil]
        def each(native)
          known(native).each { |entry| yield place(entry), entry[:offset], entry[:err], metadata(entry) }
        end

        # @param native [FFI::Pointer]
        # @return [Array<Array(String, Integer)>] topics and partitions
        def places(native)
          entries(native).map { |entry| place(entry) }
        end

        private

        def entries(native)
          list = Rdkafka::Bindings::TopicPartitionList.new(native)
          (0...list[:cnt]).map { |index| entry(list, index) }
        end

        # librdkafka's lists of commits have all partitions that are ours, ten times a second, most of them without an
        # offset: of these no object is made.
        def known(native)
          list = Rdkafka::Bindings::TopicPartitionList.new(native)
          elements = list[:elems]
          (0...list[:cnt]).filter_map do |index|
            entry(list, index) unless elements.get_int64((index * SIZE) + OFFSET).negative?
          end
        end

        def entry(list, index)
          Rdkafka::Bindings::TopicPartition.new(list[:elems] + (index * SIZE))
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
