# frozen_string_literal: true

# A karafka consumer that works on each batch in parallel, in order for each key. Messages are marked as consumed as
# they finish, while the batch is still under way; when a message fails, karafka pauses the partition and continues
# behind what is marked.
#
#   bundle add work_shaper karafka
#   BOOTSTRAP_SERVERS=localhost:9092 KARAFKA_BOOT_FILE=examples/karafka.rb bundle exec karafka server
#
# Put your own work into `work_on`, below. Run by specs with karafka 2.5 (open source).

require "karafka"
require "work_shaper"

# What is done with the messages of a partition.
class OrdersConsumer < Karafka::BaseConsumer
  class << self
    # One for all partitions: karafka works on several of them at a time.
    attr_accessor :shaper
  end

  # Returns when every message is finished. The messages of a key stay in order; messages without a key need no order.
  #
  # karafka would mark the last message by itself. But when one fails, it continues with the first that is not marked,
  # which is also the one that goes to a dead letter queue: so mark what is finished, and that will be the one that
  # failed. When nothing can be marked any more, the partition belongs to another process: the rest of the batch is
  # dropped.
  def consume
    self.class.shaper.process(
      messages, sub_key: lambda(&:key),
                ack: ->(message) { mark_as_consumed(message) || raise("#{topic.name}/#{partition} is lost") }
    )
  end

  # karafka calls these two for each partition after `consume` has returned, so there is nothing left to do.
  def revoked; end

  def shutdown; end

  # Your work goes here. It runs on many threads at once, but on one at a time for each key.
  def self.work_on(message)
    sleep 0.005 # a query, an HTTP call
    puts "#{message.partition} #{message.offset} #{message.key} #{message.raw_payload}"
  end
end

# How karafka runs it.
class KarafkaApp < Karafka::App # rubocop:disable Style/OneClassPerFile
  setup do |config|
    config.client_id = "orders"
    config.group_id = ENV.fetch("GROUP_ID", "orders")
    config.logger = WorkShaper.logger
    config.kafka = { "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS", "localhost:9092"),
                     "auto.commit.interval.ms": 1_000 } # how often librdkafka commits what is marked
    # A batch should hold many times more messages than there are threads, but no more than can be worked on in
    # max.poll.interval.ms (5 minutes).
    config.max_messages = 1_000
    config.max_wait_time = 100 # milliseconds to wait for a batch to become full
  end

  # In the process that does the work: in swarm mode, after forking.
  monitor.subscribe("app.running") do
    OrdersConsumer.shaper = WorkShaper::Batches.new(concurrency: 50) { |message| OrdersConsumer.work_on(message) }
  end
  monitor.subscribe("app.stopped") { OrdersConsumer.shaper&.shutdown(timeout: 25) }

  # The work was killed, or raised what is meant for the process: end the process, to be started again.
  monitor.subscribe("error.occurred") do |event|
    Process.kill(:TERM, Process.pid) if event[:error].is_a?(WorkShaper::ShuttingDown)
  end
  monitor.subscribe(Karafka::Instrumentation::LoggerListener.new(log_polling: false))

  routes.draw do
    topic ENV.fetch("TOPIC", "orders") do
      consumer OrdersConsumer
    end
  end
end

$stdout.sync = true
