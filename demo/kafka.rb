# frozen_string_literal: true

require "logger"

require_relative "clock"
require_relative "failure"
require_relative "mock_cluster"

module Demo
  # What the demo needs of Kafka: a topic, clients and the offsets that the broker knows. With no
  # `bootstrap_servers` it is the broker inside this process.
  class Kafka
    # More would leave the mock cluster's 5 MiB per partition.
    MOCK_MESSAGES = 40_000
    TIMEOUT_MS = 10_000

    attr_reader :topic

    def initialize(bootstrap_servers, topic)
      Rdkafka::Config.logger = Logger.new($stderr, level: Logger::FATAL)
      @mock = MockCluster.new unless bootstrap_servers
      @bootstrap_servers = bootstrap_servers || @mock.bootstrap_servers
      @topic = topic
      @group = "work_shaper_demo_#{Process.pid}_#{Time.now.to_i}"
      @clients = []
    end

    def mock?
      !@mock.nil?
    end

    def to_s
      mock? ? "the broker inside this process" : @bootstrap_servers
    end

    # Finds the topic or creates it; returns the number of its partitions.
    def prepare_topic
      @mock&.create_topic(@topic, partitions: 1)
      partition_count || create_topic
    rescue Rdkafka::BaseError => e
      raise Failure, "topic #{@topic} cannot be used: #{e.message} (#{self})"
    end

    def producer
      @producer ||= opened(config("linger.ms": 5, "queue.buffering.max.messages": 2_000_000).producer)
    end

    # A consumer that is assigned the offsets from `range.begin` of each partition: no group to join, and what
    # the topic held before stays out.
    def consumer(ranges)
      consumer = opened(config(**consumer_settings).consumer)
      list = Rdkafka::Consumer::TopicPartitionList.new
      list.add_topic_and_partitions_with_offsets(@topic, ranges.transform_values(&:begin))
      consumer.assign(list)
      consumer
    end

    # The offset that the next message of each partition gets, as the broker says it.
    def high_watermarks(partitions)
      partitions.to_h { |partition| [partition, reader.query_watermark_offsets(@topic, partition, TIMEOUT_MS).last] }
    end

    # What the group has committed, as the broker says it: the offset that a restart would begin with, or nil.
    def committed(partitions)
      list = Rdkafka::Consumer::TopicPartitionList.new
      list.add_topic(@topic, partitions)
      reader.committed(list, TIMEOUT_MS).to_h.fetch(@topic).to_h { |entry| [entry.partition, entry.offset] }
    end

    # The clients go first: the broker inside this process ends with its owner.
    def close
      @clients.each(&:close)
      @mock&.close
    end

    private

    def opened(client)
      @clients << client
      client
    end

    def config(**settings)
      Rdkafka::Config.new("bootstrap.servers": @bootstrap_servers, **settings)
    end

    # Nothing is committed but what `store_offset` was called for.
    def consumer_settings
      { "group.id": @group, "enable.auto.offset.store": false, "enable.auto.commit": false,
        "auto.offset.reset": "error", "fetch.wait.max.ms": 50 }
    end

    # A client of its own, so that its figures come from the broker and not from what a consumer remembers.
    def reader
      @reader ||= opened(config(**consumer_settings).consumer)
    end

    def partition_count
      count = producer.partition_count(@topic)
      count if count.positive?
    end

    def create_topic
      admin = config.admin
      admin.create_topic(@topic, 1, -1).wait
      deadline = Clock.now + (TIMEOUT_MS / 1000)
      sleep 0.1 until partition_count || Clock.now > deadline
      partition_count || raise(Failure, "topic #{@topic} was created but does not show (#{self})")
    ensure
      admin&.close
    end
  end
end
