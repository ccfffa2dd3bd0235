# frozen_string_literal: true

require "logger"

require_relative "clock"
require_relative "failure"
require_relative "../support/kafka/mock_cluster"

module Demo
  # What the demo needs of Kafka: a topic, groups of consumers and the offsets that the broker knows. With no
  # `bootstrap_servers` it is the broker inside this process.
  class Kafka
    TIMEOUT_MS = 10_000

    # A group of consumers: what they are configured with, and what the broker knows of it.
    Group = Struct.new(:config, :topic, :client, :partitions) do
      # The offset at which each partition would continue after a restart.
      def committed
        list = Rdkafka::Consumer::TopicPartitionList.new
        list.add_topic(topic, partitions)
        client.committed(list, TIMEOUT_MS).to_h.fetch(topic).to_h { |entry| [entry.partition, entry.offset] }
      end
    end

    # Where each partition ended when all was produced: { partition => the offset of the next message }.
    attr_reader :topic, :ends

    # Finds the topic or creates it.
    def initialize(bootstrap_servers, topic)
      Rdkafka::Config.logger = Logger.new($stderr, level: Logger::FATAL)
      @clients = []
      @mock = KafkaSupport::MockCluster.new unless bootstrap_servers
      @bootstrap_servers = bootstrap_servers || @mock.bootstrap_servers
      @topic = topic
      @mock&.create_topic(topic, partitions: 1)
      @partitions = Array.new(partition_count || create_topic) { |partition| partition }
    rescue Rdkafka::BaseError => e
      raise Failure, "topic #{topic} cannot be used: #{e.message} (#{self})"
    end

    def to_s
      @mock ? "the broker inside this process" : @bootstrap_servers
    end

    def produce(traffic)
      @beginnings = high_watermarks
      traffic.produce(producer, topic)
      @ends = high_watermarks
    end

    # The topic for messages that are given up, which is created when it is missing.
    def dead_letters
      @dead_letters ||= "#{topic}_dead".tap do |name|
        @mock ? @mock.create_topic(name, partitions: 1) : partition_count(name) || create_topic(name)
      end
    end

    # A new group, which begins with the first message that was produced here and skips what the topic held before.
    def group(name)
      id = "work_shaper_demo_#{Process.pid}_#{Time.now.to_i}_#{name}"
      settings = config("group.id": id, "session.timeout.ms": @mock ? 4_000 : 6_000, "heartbeat.interval.ms": 200)
      client = opened(Rdkafka::Config.new(settings).consumer)
      list = Rdkafka::Consumer::TopicPartitionList.new
      list.add_topic_and_partitions_with_offsets(topic, @beginnings)
      client.commit(list)
      Group.new(settings, topic, client, @partitions)
    end

    private

    # Keeps the client: rdkafka up to 0.25 crashes when a client that is not closed is garbage collected. There is no
    # need to close them, which takes up to a second for each: the process ends.
    def opened(client)
      @clients << client
      client
    end

    def config(**settings)
      { "bootstrap.servers": @bootstrap_servers, **settings }
    end

    def producer
      @producer ||= opened(
        Rdkafka::Config.new(config("linger.ms": 5, "queue.buffering.max.messages": 2_000_000)).producer
      )
    end

    def high_watermarks
      @reader ||= opened(Rdkafka::Config.new(config("group.id": "work_shaper_demo")).consumer)
      @partitions.to_h { |partition| [partition, @reader.query_watermark_offsets(topic, partition, TIMEOUT_MS).last] }
    end

    def partition_count(name = topic)
      count = producer.partition_count(name)
      count if count.positive?
    end

    def create_topic(name = topic)
      admin = Rdkafka::Config.new(config).admin
      admin.create_topic(name, 1, -1).wait
      deadline = Clock.now + (TIMEOUT_MS / 1000)
      sleep 0.1 until (count = partition_count(name)) || Clock.now > deadline
      count || raise(Failure, "topic #{name} was created but does not show (#{self})")
    ensure
      admin&.close
    end
  end
end
