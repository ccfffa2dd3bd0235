# frozen_string_literal: true

require_relative "cpu"
require_relative "kafka"
require_relative "traffic"

module Bench
  # The Consumer on a real broker, on one partition.
  module ConsumerSpeed
    MESSAGES = 1_000_000
    NO_WORK = ->(_message) {}
    SETTINGS = { concurrency: 25, heartbeat_period_sec: 0 }.freeze

    module_function

    def compare_no_op(table, broker, name, keys)
      topic = Kafka.topic(broker, MESSAGES, keys: keys)
      ours = -> { Kafka.consumer_rate(broker, topic, MESSAGES, **SETTINGS, &NO_WORK) }
      intake = -> { Kafka.intake_rate(broker, topic, MESSAGES, &NO_WORK) }
      poll = -> { Kafka.poll_rate(broker, topic, MESSAGES, &NO_WORK) }
      table.ratio("#{name}, against the bare intake", unit: "/s", at_least: 0.4, ours: ours, reference: intake)
      table.ratio("#{name}, against rdkafka's poll", unit: "/s", at_least: 3, ours: ours, reference: poll,
                                                     warm_up: false)
    end

    def compare_io(table, broker)
      messages = 50_000
      topic = Kafka.topic(broker, messages, keys: 100)
      ours = -> { Kafka.consumer_rate(broker, topic, messages, concurrency: 100) { sleep 0.01 } }
      table.ratio("10 ms of I/O, 100 keys, 100 workers, against the ideal",
                  unit: "/s", at_least: 0.97, ours: ours, reference: -> { 10_000 }, warm_up: false)
    end

    def compare_cpu(table, broker)
      messages = 5_000
      turns = Cpu.turns * 10
      topic = Kafka.topic(broker, messages, keys: 100)
      ours = -> { Kafka.consumer_rate(broker, topic, messages, **SETTINGS) { Cpu.count(turns) } }
      table.ratio("1 ms of pure Ruby, 25 workers, against a serial loop",
                  unit: "/s", at_least: 0.93, ours: ours, reference: -> { serial_rate(messages, turns) })
    end

    def serial_rate(messages, turns)
      messages / Bench.seconds { messages.times { Cpu.count(turns) } }
    end
  end

  compare "consumer", "a Consumer on Kafka, one partition, messages of 100 B" do |table|
    Kafka.with_broker(table) do |broker|
      ConsumerSpeed.compare_no_op(table, broker, "no work, 100 keys", 100)
      ConsumerSpeed.compare_no_op(table, broker, "no work, 1,000,000 keys", ConsumerSpeed::MESSAGES)
      ConsumerSpeed.compare_io(table, broker)
      ConsumerSpeed.compare_cpu(table, broker)
    end
  end
end
