# frozen_string_literal: true

require_relative "../../../support/kafka/mock_cluster"

module ConsumerHelpers
  # librdkafka's mock cluster in this process, and what an example does to it.
  class MockCluster < KafkaSupport::MockCluster
    # More of librdkafka's mock.h.
    module Native
      extend FFI::Library

      ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

      attach_function :rd_kafka_mock_push_request_errors_array, %i[pointer int16 size_t pointer], :void
      attach_function :rd_kafka_mock_broker_push_request_error_rtts, %i[pointer int32 int16 size_t varargs], :int
      attach_function :rd_kafka_mock_clear_request_errors, %i[pointer int16], :void
      attach_function :rd_kafka_mock_broker_set_rtt, %i[pointer int32 int], :int
      attach_function :rd_kafka_mock_topic_set_error, %i[pointer string int], :void
      attach_function :rd_kafka_mock_start_request_tracking, [:pointer], :void
      attach_function :rd_kafka_mock_get_requests, %i[pointer pointer], :pointer
      attach_function :rd_kafka_mock_request_api_key, [:pointer], :int16
      attach_function :rd_kafka_mock_request_destroy_array, %i[pointer size_t], :void
      attach_function :rd_kafka_mock_broker_set_down, %i[pointer int32], :int
      attach_function :rd_kafka_mock_broker_set_up, %i[pointer int32], :int
    end

    # Numbers of Kafka's requests.
    API = { produce: 0, fetch: 1, list_offsets: 2, offset_commit: 8, offset_fetch: 9, join_group: 11,
            heartbeat: 12, leave_group: 13 }.freeze
    UNKNOWN_TOPIC = 3 # Kafka's UNKNOWN_TOPIC_OR_PARTITION
    PATIENCE_MS = 10_000

    class << self
      def shared
        ManagerHelpers::MAKING.synchronize { @shared ||= new }
      end

      def close_shared
        @shared&.close
        @shared = nil
      end

      # A name that nothing else has.
      def unique
        ManagerHelpers::MAKING.synchronize { @count = (@count || 0) + 1 }
        "#{Process.pid}-#{@count}"
      end
    end

    def initialize
      Rdkafka::Config.logger = Logger.new(File::NULL)
      super
      @groups = {}
      @last = []
    end

    # rows: [partition, key, payload, headers], what is at the end may be left out.
    def produce(topic, rows)
      handles = handed_over(topic, rows)
      await(handles, ManagerHelpers::DEADLINE / 2)
      handles = with_another_producer { handed_over(topic, rows) } if handles.all?(&:pending?)
      await(handles, ManagerHelpers::DEADLINE)
      late = handles.count(&:pending?)
      raise "#{late} of #{handles.size} messages not delivered in #{ManagerHelpers::DEADLINE} s" if late.positive?

      handles.each(&:wait)
    end

    # Numbered messages, the keys in turn, in one partition.
    def produce_numbered(topic, count, partition: 0, keys: ["key"])
      produce(topic, (0...count).map { |number| [partition, keys[number % keys.size], number.to_s] })
    end

    # The committed offset of each of a topic's partitions, nil where there is none.
    def committed(group, topic, partitions: 1)
      list = Rdkafka::Consumer::TopicPartitionList.new.tap { |made| made.add_topic(topic, (0...partitions).to_a) }
      reader(group).committed(list, PATIENCE_MS).to_h.fetch(topic).to_h do |entry|
        [entry.partition, entry.offset.to_i.negative? ? nil : entry.offset]
      end
    end

    # The next requests of a kind are answered with these errors of Kafka's.
    def refuse(request, *codes)
      array = FFI::MemoryPointer.new(:int, codes.size).write_array_of_int(codes)
      Native.rd_kafka_mock_push_request_errors_array(@cluster, API.fetch(request), codes.size, array)
    end

    # The next requests of a kind are answered so much later.
    def delay(request, milliseconds, times: 1)
      push(request, [[0, milliseconds]] * times)
    end

    # No more errors; delays stay (librdkafka keeps those of a broker elsewhere).
    def forgive(request)
      Native.rd_kafka_mock_clear_request_errors(@cluster, API.fetch(request))
    end

    # The next request of a kind is answered with an error of Kafka's, whatever {#delay} has said before.
    def refuse_next(request, code)
      push(request, [[code, 0]])
    end

    # From now on it is known which requests come.
    def track
      Native.rd_kafka_mock_start_request_tracking(@cluster)
    end

    # How many requests of a kind have come since then.
    def requested(request)
      FFI::MemoryPointer.new(:size_t) do |count|
        array = Native.rd_kafka_mock_get_requests(@cluster, count)
        requests = array.read_array_of_pointer(count.read(:size_t))
        kinds = requests.map { |one| Native.rd_kafka_mock_request_api_key(one) }
        Native.rd_kafka_mock_request_destroy_array(array, requests.size)
        return kinds.count(API.fetch(request))
      end
    end

    # Every answer comes so much later.
    def slow_down(milliseconds)
      Native.rd_kafka_mock_broker_set_rtt(@cluster, 1, milliseconds)
    end

    # Brokers do not know the topic any more.
    def lose(topic)
      Native.rd_kafka_mock_topic_set_error(@cluster, topic, UNKNOWN_TOPIC)
    end

    def down
      Native.rd_kafka_mock_broker_set_down(@cluster, 1)
    end

    def up
      Native.rd_kafka_mock_broker_set_up(@cluster, 1)
    end

    # librdkafka often takes a second to close a client, so they are closed at the end of the suite, side by side.
    def close_at_last(client)
      @last << client
    end

    def close
      clients = [*@last, *@groups.values, @producer].compact
      clients.map { |client| Thread.new { client.close } }.each(&:join)
      super
    end

    private

    # Errors, and milliseconds that answers take, for the next requests of a kind.
    def push(request, answers)
      words = answers.flat_map { |code, milliseconds| [:int, code, :int, milliseconds] }
      Native.rd_kafka_mock_broker_push_request_error_rtts(@cluster, 1, API.fetch(request), answers.size, *words)
    end

    def handed_over(topic, rows)
      rows.map do |partition, key, payload, headers|
        producer.produce(topic: topic, partition: partition, key: key, payload: payload, headers: headers || {})
      end
    end

    # Not one long wait for each: Ruby forgets a wake-up that is given while the thread runs a finalizer (decision 13).
    def await(handles, seconds)
      deadline = ManagerHelpers.now + seconds
      sleep ManagerHelpers::POLL_SEC while handles.any?(&:pending?) && ManagerHelpers.now < deadline
    end

    # One whose broker went in another example may wait for an answer that will not come, for a minute.
    def with_another_producer
      stuck = @producer
      close_at_last(stuck)
      Thread.new { stuck.purge } # which waits until it is done
      @producer = nil
      yield
    end

    # What it connects to just when the broker goes takes the connection, and answers nothing.
    def producer
      @producer ||= Rdkafka::Config.new("bootstrap.servers": bootstrap_servers, "linger.ms": 1,
                                        "reconnect.backoff.max.ms": 200, "message.max.bytes": 3_000_000,
                                        "socket.connection.setup.timeout.ms": 1_000).producer
    end

    # It never joins the group.
    def reader(group)
      @groups[group] ||= Rdkafka::Config.new("bootstrap.servers": bootstrap_servers, "group.id": group).consumer
    end
  end
end
