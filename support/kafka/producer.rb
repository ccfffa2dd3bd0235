# frozen_string_literal: true

require_relative "native"

module KafkaSupport
  # Produces whole batches, a million small messages in two seconds. What it is given is on the broker, in that order,
  # when `produce` returns. With `transactional: true` only inside `transaction`.
  class Producer
    PATIENCE_MS = 60_000
    BATCH = 10_000
    PRODUCER = 0
    COPY = 0x2
    COPY_AND_USE_PARTITION = COPY | 0x8
    # rd_kafka_message_t: err, rkt, partition, payload, len, key, key_len, offset, private
    MESSAGE = "l x4 Q l x4 Q Q Q Q q Q"
    MESSAGE_SIZE = 72

    class Failure < StandardError; end

    def initialize(servers, transactional: false)
      settings = { "bootstrap.servers" => servers, "log_level" => "2", "enable.idempotence" => "true",
                   "linger.ms" => "5", "queue.buffering.max.messages" => "2000000" }
      settings["transactional.id"] = "specs-#{Process.pid}-#{object_id}" if transactional
      @handle = client(settings)
      check(Native.rd_kafka_init_transactions(@handle, PATIENCE_MS)) if transactional
    end

    # `records`: [[partition, key, payload], ...]; a key or a payload may be nil.
    def produce(topic, records)
      handle = Native.rd_kafka_topic_new(@handle, topic, nil)
      fetch_metadata(handle)
      records.each_slice(BATCH) { |slice| produce_batch(handle, slice) }
      left = Native.rd_kafka_flush(@handle, PATIENCE_MS)
      raise Failure, "not all of #{records.size} messages could be produced to #{topic}" unless left.zero?
    ensure
      Native.rd_kafka_topic_destroy(handle) if handle
    end

    # One message with a timestamp in milliseconds and `headers`: [[name, value], ...]; a value may be nil.
    def produce_one(topic, partition, key, payload, timestamp:, headers:)
      arguments = [:int, Rdkafka::Bindings::RD_KAFKA_VTYPE_TOPIC, :string, topic,
                   :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_MSGFLAGS, :int, COPY,
                   :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_PARTITION, :int32, partition,
                   :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_KEY, *sized(key),
                   :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_VALUE, *sized(payload),
                   :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_TIMESTAMP, :int64, timestamp]
      headers.each do |name, value|
        arguments.push(:int, Rdkafka::Bindings::RD_KAFKA_VTYPE_HEADER, :string, name, *sized(value))
      end
      error = Native.rd_kafka_producev(@handle, *arguments, :int, Rdkafka::Bindings::RD_KAFKA_VTYPE_END)
      raise Rdkafka::RdkafkaError, error unless error.zero?
      raise Failure, "it could not be produced to #{topic}" unless Native.rd_kafka_flush(@handle, PATIENCE_MS).zero?
    end

    # What the block produces is there for those who read what is committed, or leaves only gaps.
    def transaction(commit: true)
      check(Native.rd_kafka_begin_transaction(@handle))
      yield self
      ended = commit ? :rd_kafka_commit_transaction : :rd_kafka_abort_transaction
      check(Native.public_send(ended, @handle, PATIENCE_MS))
    end

    def close
      Native.rd_kafka_destroy(@handle)
    end

    private

    def client(settings)
      text = FFI::MemoryPointer.new(512)
      config = Native.rd_kafka_conf_new
      settings.each do |name, value|
        raise Failure, text.read_string unless Native.rd_kafka_conf_set(config, name, value, text, text.size).zero?
      end
      handle = Native.rd_kafka_new(PRODUCER, config, text, text.size)
      raise Failure, text.read_string if handle.null?

      handle
    end

    # Of a topic that it doesn't know yet, librdkafka would register partition -1 with the transaction.
    def fetch_metadata(topic)
      metadata = FFI::MemoryPointer.new(:pointer)
      error = Rdkafka::Bindings.rd_kafka_metadata(@handle, 0, topic, metadata, PATIENCE_MS)
      raise Rdkafka::RdkafkaError, error unless error.zero?

      Rdkafka::Bindings.rd_kafka_metadata_destroy(metadata.read_pointer)
    end

    def produce_batch(topic, records)
      bytes = FFI::MemoryPointer.from_string(records.flat_map { |_, key, payload| [key, payload] }.join)
      address = bytes.address
      messages = FFI::MemoryPointer.new(MESSAGE_SIZE, records.size)
      messages.put_bytes(0, records.map do |partition, key, payload|
        key_field = field(key, address)
        payload_field = field(payload, address + key_field.last)
        address += key_field.last + payload_field.last
        [0, 0, partition, *payload_field, *key_field, 0, 0].pack(MESSAGE)
      end.join)
      queued = Native.rd_kafka_produce_batch(topic, -1, COPY_AND_USE_PARTITION, messages, records.size)
      raise Failure, "only #{queued} of #{records.size} messages were taken" unless queued == records.size
    end

    # The same as arguments.
    def sized(text)
      [:buffer_in, text, :size_t, text ? text.bytesize : 0]
    end

    # Where the bytes are, and how many.
    def field(text, address)
      text ? [address, text.bytesize] : [0, 0]
    end

    def check(error)
      return if error.null?

      text = Native.rd_kafka_error_string(error)
      Native.rd_kafka_error_destroy(error)
      raise Failure, text
    end
  end
end
