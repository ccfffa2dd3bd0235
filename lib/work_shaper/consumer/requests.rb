# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A question to brokers that waits for no answer: a broker may answer a fetch first, which takes until there are
    # messages. Nor has it a time limit of its own: librdkafka closes the connection of a request that is late.
    #
    # @private
    class Request
      ANY_OPERATION = 0 # RD_KAFKA_ADMIN_OP_ANY

      # @param guard [Rdkafka::NativeKafka] keeps the client open during a call
      def initialize(guard)
        @guard = guard
        guard.with_inner do |inner|
          @queue = call(:pointer, "queue_new", inner)
          options = call(:pointer, "AdminOptions_new", inner, ANY_OPERATION)
          submit(inner, options, @queue)
        ensure
          call(:void, "AdminOptions_destroy", options) if options
        end
      end

      # @return [Object, nil] nil: there is no answer yet, after so many milliseconds
      # @raise [Rdkafka::RdkafkaError] there will be none
      def answer(milliseconds)
        @guard.with_inner do
          event = call(:pointer, "queue_poll", @queue, milliseconds)
          event.null? ? nil : checked(event)
        ensure
          call(:void, "event_destroy", event) if event && !event.null?
        end
      end

      # Whatever is answered now is thrown away.
      def close
        @guard.with_inner { call(:void, "queue_destroy", @queue) }
      end

      private

      def call(...)
        Client.call(...)
      end

      def checked(event)
        code = call(:int, "event_error", event)
        raise Rdkafka::RdkafkaError, code unless code.zero?

        result(event)
      end
    end

    # Asks whether topics are there, and may be read. (librdkafka's own question for metadata may make a topic that was
    # deleted; that for the cluster is a crash where it has no id, as on Azure Event Hubs.)
    #
    # @private
    class TopicsRequest < Request
      READ = 3 # RD_KAFKA_ACL_OPERATION_READ
      NOT_ALLOWED = 29 # Kafka's TOPIC_AUTHORIZATION_FAILED

      # @param names [Array<String>]
      def initialize(guard, names)
        @names = names
        super(guard)
      end

      private

      def submit(inner, options, queue)
        error = call(:pointer, "AdminOptions_set_include_authorized_operations", options, 1)
        call(:void, "error_destroy", error) unless error.null?
        strings = @names.map { |name| FFI::MemoryPointer.from_string(name) }
        names = FFI::MemoryPointer.new(:pointer, strings.size).write_array_of_pointer(strings)
        topics = of_names.call(names, strings.size)
        call(:void, "DescribeTopics", inner, topics, options, queue)
      ensure
        call(:void, "TopicCollection_destroy", topics) if topics
      end

      def of_names
        FFI::Function.new(:pointer, %i[pointer size_t], Client.find("rd_kafka_TopicCollection_of_topic_names"))
      end

      # librdkafka's response by topic; 0: it may be read.
      def result(event)
        descriptions(call(:pointer, "event_DescribeTopics_result", event)).to_h do |description|
          code = call(:int, "error_code", call(:pointer, "TopicDescription_error", description))
          code = NOT_ALLOWED if code.zero? && !readable?(description)
          [call(:string, "TopicDescription_name", description), code]
        end
      end

      def descriptions(result)
        FFI::MemoryPointer.new(:size_t) do |count|
          topics = call(:pointer, "DescribeTopics_result_topics", result, count)
          return topics.read_array_of_pointer(count.read(:size_t))
        end
      end

      # Some brokers do not say what is allowed.
      def readable?(description)
        FFI::MemoryPointer.new(:size_t) do |count|
          operations = call(:pointer, "TopicDescription_authorized_operations", description, count)
          size = count.read(:size_t)
          return operations.null? || size.zero? || operations.read_array_of_int(size).include?(READ)
        end
      end
    end

    # Asks the leaders of partitions for first offsets, or for ends.
    #
    # @private
    class OffsetsRequest < Request
      # @param list [Rdkafka::Consumer::TopicPartitionList] with what is asked for in place of offsets
      # @param isolation_level [Integer] as librdkafka has it
      def initialize(guard, list, isolation_level)
        @list = list
        @isolation_level = isolation_level
        super(guard)
      end

      private

      def submit(inner, options, queue)
        error = call(:pointer, "AdminOptions_set_isolation_level", options, @isolation_level)
        call(:void, "error_destroy", error) unless error.null?
        native = @list.to_native_tpl
        call(:void, "ListOffsets", inner, native, options, queue)
      ensure
        call(:void, "topic_partition_list_destroy", native) if native
      end

      # By topic and partition, without those whose leader does not know.
      def result(event)
        entries(call(:pointer, "event_ListOffsets_result", event)).filter_map do |entry|
          [[entry[:topic], entry[:partition]], entry[:offset]] if entry[:err].zero? && !entry[:offset].negative?
        end.to_h
      end

      def entries(offsets)
        topic_partition = FFI::Function.new(:pointer, %i[pointer],
                                            Client.find("rd_kafka_ListOffsetsResultInfo_topic_partition"))
        FFI::MemoryPointer.new(:size_t) do |count|
          infos = call(:pointer, "ListOffsets_result_infos", offsets, count)
          return infos.read_array_of_pointer(count.read(:size_t)).map do |info|
            Rdkafka::Bindings::TopicPartition.new(topic_partition.call(info))
          end
        end
      end
    end

    private_constant :Request
    private_constant :TopicsRequest
    private_constant :OffsetsRequest
  end
end
