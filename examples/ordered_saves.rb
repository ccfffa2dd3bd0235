# frozen_string_literal: true

# Saves the messages of a Kafka partition in the order of their offsets, while they are parsed in parallel. An offset is
# stored after its save: whatever happens nothing is lost, and only what was saved since the last commit is saved again.
#
#   gem install work_shaper rdkafka
#   BOOTSTRAP_SERVERS=localhost:9092 TOPIC=orders PARTITION=0 ruby examples/ordered_saves.rb
#
# Put your own work into `parse` and `save`, below.
#
#   GROUP_ID                        whose offsets they are; work_shaper_example unless set
#   LIBRDKAFKA_CLIENT_RACK          the setting client.rack of librdkafka, and any other in the same way

require "json"
require "rdkafka"
require "work_shaper"

# Runs on many threads at once: what takes long and needs no order. An error ends the program, at the message's turn.
def parse(message)
  sleep 0.005 # a query, an HTTP call
  JSON.parse(message.payload)
end

# Runs on one thread, one message after the other: no lock is needed.
def save(offset, order)
  puts "#{offset} #{order.fetch("number")}"
end

# The messages of one partition, as a queue. A thread of its own polls, as far as there is room in the queue.
class Messages
  ROOM = 100 # messages

  attr_reader :queue

  def initialize(consumer, topic, partition)
    @consumer = consumer
    @queue = Thread::SizedQueue.new(ROOM)
    list = Rdkafka::Consumer::TopicPartitionList.new
    list.add_topic(topic, [partition])
    @consumer.assign(list) # it goes on at the offset that is committed
    @thread = Thread.new { poll }
    @thread.report_on_exception = false # `close` raises it
  end

  # Safe in a trap handler: what is in the queue is still saved.
  def request_stop
    @stopping = true
  end

  # Raises what ended the polling, if it was an error. What is stored is committed.
  def close
    request_stop
    @queue.close
    @thread.join
  ensure
    @consumer.close
  end

  private

  def poll
    until @stopping
      message = next_message
      @queue << message if message
    end
  rescue ClosedQueueError
    # Nobody reads any more.
  ensure
    @queue.close
  end

  # librdkafka recovers from errors that are not fatal, a broker that is gone, say.
  def next_message
    @consumer.poll(100)
  rescue Rdkafka::RdkafkaError => e
    raise if e.code == :fatal

    WorkShaper.logger.warn({ message: "Error from Kafka", error: e.message })
    nil
  end
end

$stdout.sync = true
Rdkafka::Config.logger = WorkShaper.logger

topic = ENV.fetch("TOPIC") { abort "TOPIC is not set" }
settings = ENV.select { |name, _| name.start_with?("LIBRDKAFKA_") }
              .transform_keys { |name| name.delete_prefix("LIBRDKAFKA_").downcase.tr("_", ".").to_sym }

consumer = Rdkafka::Config.new({
  "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS", "localhost:9092"),
  "group.id": ENV.fetch("GROUP_ID", "work_shaper_example"),
  "auto.offset.reset": "earliest",   # where a new group begins
  "enable.auto.offset.store": false, # or a message counts as done when it is delivered
  "auto.commit.interval.ms": 1_000   # how often librdkafka commits what is stored
}.merge(settings)).consumer

messages = Messages.new(consumer, topic, Integer(ENV.fetch("PARTITION", "0")))
%w[INT TERM].each { |signal| trap(signal) { messages.request_stop } }

begin
  WorkShaper.stream(messages.queue, concurrency: 8) { |message| [message, parse(message)] }.each do |message, order|
    save(message.offset, order)
    consumer.store_offset(message)
  end
ensure
  messages.close
end
