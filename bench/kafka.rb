# frozen_string_literal: true

require "logger"
require "work_shaper/consumer"
require_relative "../support/kafka/brokers"
require_relative "../support/kafka/deaf_listener"
require_relative "../support/kafka/topic"

module Bench
  # A Kafka to measure on: that of KAFKA_BOOTSTRAP_SERVERS, or a broker from ../shared/kafka. The mock cluster forgets
  # most of a million messages, and the figures would be more its own than ours.
  module Kafka
    BYTES = 100

    module_function

    # Yields a broker, or remarks in the table that there is none.
    def with_broker(table)
      servers = ENV.fetch("KAFKA_BOOTSTRAP_SERVERS", "")
      return yield(KafkaSupport::RealBroker.new(servers)) unless servers.empty?

      cluster_there = KafkaSupport::Cluster.there? && KafkaSupport::Cluster.java?
      return table.remark("left out", "no Kafka: set KAFKA_BOOTSTRAP_SERVERS") unless cluster_there

      ENV["KAFKA_TIER"] = "4" # the broker's full speed
      cluster = KafkaSupport::Cluster.new
      begin
        yield KafkaSupport::RealBroker.new(cluster.servers, cluster: cluster)
      ensure
        cluster.close
      end
    end

    # The name of a topic of one partition with so many messages.
    def topic(broker, messages, keys:)
      topic = KafkaSupport::Topic.new(broker)
      topic.fill(messages, keys: keys, bytes: BYTES)
      topic.close
      topic.name
    end

    # What a new group that reads all of a topic is configured with.
    def config(broker)
      { "bootstrap.servers": broker.servers, "group.id": "bench-#{Process.pid}-#{rand(36**8).to_s(36)}",
        "auto.offset.reset": "earliest" }
    end

    # Messages per second from the first one on, as a Consumer does it, all of them finished and stored.
    def consumer_rate(broker, topic, messages, **settings)
      start = nil
      begun = 0
      last = Thread::Queue.new
      settings = { config: config(broker), topics: topic, signals: false, **settings }
      consumer = WorkShaper::Consumer.new(**settings) do |message|
        start ||= Bench.now
        last << true if (begun += 1) == messages
        yield message
      end
      running = Thread.new { consumer.run }
      last.pop # until then nothing disturbs it
      sleep 0.001 until consumer.stats[:total_acked] >= messages
      rate = messages / (Bench.now - start)
      consumer.stop
      raise "not all was finished" unless running.value

      rate
    end

    # The same for a loop that takes batches from the intake and calls the work for each message.
    def intake_rate(broker, topic, messages, &work)
      options = WorkShaper::Consumer.const_get(:Options).new(config: config(broker), topics: topic, shutdown_timeout: 1,
                                                             oauth_token: nil, settings: {})
      client = WorkShaper::Consumer.const_get(:Client).new(options.config, KafkaSupport::DeafListener.new)
      client.subscribe(options.topics)
      loop_rate(messages, -> { client.take(1000, 0).then { |batch| batch.any? ? batch : client.take(1, 100) } }, work)
    ensure
      client&.close
    end

    # The same for a loop on rdkafka's own poll.
    def poll_rate(broker, topic, messages, &work)
      consumer = Rdkafka::Config.new(config(broker).merge("fetch.queue.backoff.ms": 10)).consumer
      consumer.subscribe(topic)
      loop_rate(messages, -> { [consumer.poll(100)].compact }, work)
    ensure
      consumer&.close
    end

    def loop_rate(messages, take, work)
      batch = take.call while batch.nil? || batch.empty?
      start = Bench.now
      count = 0
      loop do
        batch.each { |message| work.call(message) }
        count += batch.size
        return count / (Bench.now - start) if count >= messages

        batch = take.call
      end
    end
  end
end
