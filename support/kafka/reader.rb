# frozen_string_literal: true

require "rdkafka"
require_relative "child_process"
require_relative "native"

module KafkaSupport
  # What the broker knows of a topic, asked from outside of every group.
  class Reader
    TIMEOUT_MS = 10_000

    # A message that was read, in the shape of Produced.
    Message = Struct.new(:partition, :offset, :key, :id)

    def initialize(servers, topic, partitions)
      @servers = servers
      @topic = topic
      @partitions = (0...partitions).to_a
    end

    # partition => the offset of the next message, by number. Asks again while the topic is new, or a broker gone.
    def high_watermarks
      deadline = ChildProcess.now + (3 * TIMEOUT_MS * 1_000_000)
      begin
        @partitions.to_h { |partition| [partition, client.query_watermark_offsets(@topic, partition, TIMEOUT_MS).last] }
      rescue Rdkafka::RdkafkaError
        raise if ChildProcess.now > deadline

        sleep 0.02
        retry
      end
    end

    # In the shape of Produced.
    def contents
      messages.map { |message| read(message) }
    end

    # As the rdkafka gem has them.
    def messages
      consumer = reading_consumer
      list = Rdkafka::Consumer::TopicPartitionList.new
      list.add_topic_and_partitions_with_offsets(@topic, @partitions.to_h { |partition| [partition, 0] })
      consumer.assign(list)
      read_to_end(consumer)
    ensure
      consumer&.close
    end

    def close
      @client&.close
    end

    private

    def client
      @client ||= Rdkafka::Config.new("bootstrap.servers": @servers, "group.id": "specs-reader").consumer
    end

    def reading_consumer
      Rdkafka::Config.new("bootstrap.servers": @servers, "group.id": "specs-reader", "enable.auto.commit": false,
                          "enable.partition.eof": true, "isolation.level": "read_committed",
                          "fetch.wait.max.ms": 10).consumer
    end

    def read_to_end(consumer)
      messages = []
      ended = 0
      deadline = ChildProcess.now + (6 * TIMEOUT_MS * 1_000_000)
      while ended < @partitions.size
        raise "the end of #{@topic} was not reached" if ChildProcess.now > deadline

        begin
          message = consumer.poll(100)
          messages << message if message
        rescue Rdkafka::RdkafkaError => e
          raise unless e.code == :partition_eof

          ended += 1
        end
      end
      messages
    end

    def read(message)
      Message.new("#{message.topic}/#{message.partition}", message.offset, message.key, message.payload.to_i)
    end
  end
end
