# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A question to brokers that waits for no answer: a broker may answer a fetch first, which takes until there are
    # messages. Its time limit is longer than that: librdkafka closes the connection of a request that is late.
    #
    # @private
    class Request
      ANY_OPERATION = 0 # RD_KAFKA_ADMIN_OP_ANY

      # @param guard [Rdkafka::NativeKafka] keeps the client open during a call
      # @param limit [Integer] milliseconds until it is given up
      def initialize(guard, limit)
        @guard = guard
        guard.with_inner do |inner|
          @queue = call(:pointer, "queue_new", inner)
          options = call(:pointer, "AdminOptions_new", inner, ANY_OPERATION)
          call(:int, "AdminOptions_set_request_timeout", options, limit, nil, 0)
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

      # Sets one of the options of a question.
      def set(options, name, value)
        error = call(:pointer, "AdminOptions_set_#{name}", options, value)
        call(:void, "error_destroy", error) unless error.null?
      end

      # What librdkafka has as an array: a pointer to it, which may be null, and its size.
      def array(name, owner)
        FFI::MemoryPointer.new(:size_t) { |count| return [call(:pointer, name, owner, count), count.read(:size_t)] }
      end

      def checked(event)
        code = call(:int, "event_error", event)
        raise Rdkafka::RdkafkaError, code unless code.zero?

        result(event)
      end
    end

    # Asks whether topics are there, may be read, and which ids they have. (librdkafka's own question for metadata may
    # make a topic that was deleted; that for the cluster is a crash where it has no id, as on Azure Event Hubs.)
    #
    # @private
    class TopicsRequest < Request
      READ = 3 # RD_KAFKA_ACL_OPERATION_READ
      NOT_ALLOWED = 29 # Kafka's TOPIC_AUTHORIZATION_FAILED
      UNKNOWN = 3 # Kafka's UNKNOWN_TOPIC_OR_PARTITION
      NO_ID = "AAAAAAAAAAAAAAAAAAAAAA" # older brokers, and those that do not know the topic

      # Of a topic: librdkafka's response (0: it may be read), and its id; nil: it has none.
      Answer = Struct.new(:code, :id) do
        # Whether brokers do not know the topic.
        def missing?
          code == UNKNOWN
        end
      end

      # @param names [Array<String>]
      def initialize(guard, limit, names)
        @names = names
        super(guard, limit)
      end

      private

      def submit(inner, options, queue)
        set(options, "include_authorized_operations", 1)
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

      # By topic.
      def result(event)
        descriptions(call(:pointer, "event_DescribeTopics_result", event)).to_h do |description|
          code = call(:int, "error_code", call(:pointer, "TopicDescription_error", description))
          code = NOT_ALLOWED if code.zero? && !readable?(description)
          [call(:string, "TopicDescription_name", description), Answer.new(code, id(description))]
        end
      end

      def id(description)
        uuid = call(:pointer, "TopicDescription_topic_id", description)
        text = call(:string, "Uuid_base64str", uuid) unless uuid.null?
        text unless text == NO_ID
      end

      def descriptions(result)
        topics, size = array("DescribeTopics_result_topics", result)
        topics.read_array_of_pointer(size)
      end

      # Some brokers do not say what is allowed.
      def readable?(description)
        operations, size = array("TopicDescription_authorized_operations", description)
        operations.null? || size.zero? || operations.read_array_of_int(size).include?(READ)
      end
    end

    # Asks the leaders of partitions for first offsets, or for ends.
    #
    # @private
    class OffsetsRequest < Request
      # @param offsets [Hash{Array(String, Integer) => Integer}] by topic and partition what is asked for
      # @param isolation_level [Integer] as librdkafka has it
      def initialize(guard, limit, offsets, isolation_level)
        @offsets = offsets
        @isolation_level = isolation_level
        super(guard, limit)
      end

      private

      def submit(inner, options, queue)
        set(options, "isolation_level", @isolation_level)
        OffsetList.with(@offsets) { |native| call(:void, "ListOffsets", inner, native, options, queue) }
      end

      # By topic and partition, without those whose leader does not know.
      def result(event)
        entries(call(:pointer, "event_ListOffsets_result", event)).filter_map do |entry|
          [[entry[:topic], entry[:partition]], entry[:offset]] if entry[:err].zero? && !entry[:offset].negative?
        end.to_h
      end

      def entries(offsets)
        infos, size = array("ListOffsets_result_infos", offsets)
        infos.read_array_of_pointer(size).map do |info|
          Rdkafka::Bindings::TopicPartition.new(call(:pointer, "ListOffsetsResultInfo_topic_partition", info))
        end
      end
    end

    private_constant :Request
    private_constant :TopicsRequest
    private_constant :OffsetsRequest
  end
end
