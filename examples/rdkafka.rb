# frozen_string_literal: true

# A Kafka consumer that works on the messages of each partition in parallel: in order for each key, and an offset is
# committed only when it and all below it are finished.
#
#   gem install work_shaper rdkafka
#   BOOTSTRAP_SERVERS=localhost:9092 TOPIC=my_topic ruby examples/rdkafka.rb
#
# Put your own work into `work_on`, below.
#
#   GROUP_ID                  the consumer group; work_shaper_example unless set
#   SHUTDOWN_TIMEOUT          seconds that running work has to finish after INT or TERM; 30 unless set
#   LIBRDKAFKA_CLIENT_RACK    the setting client.rack of librdkafka, and any other in the same way
#   WORK_SHAPER_CONCURRENCY   the number of threads, and any other setting of WorkShaper in the same way

require "rdkafka"
require "work_shaper"

# Hands the messages of a topic to WorkShaper and stores in Kafka what is finished.
class ParallelConsumer
  # What `store_offset` says when another consumer owns the partition by now.
  LOST_PARTITION = %i[state unknown_partition illegal_generation assignment_lost].freeze

  # What `store_offset` takes: anything with these three. It stores `offset` + 1, the message to begin with after a
  # restart, so do not add the 1 yourself.
  Finished = Struct.new(:topic, :partition, :offset)

  def initialize(topic:, kafka:, shutdown_timeout:, &work)
    @topic = topic
    @shutdown_timeout = shutdown_timeout
    @held = []
    # `acks: :latest` stores once per partition and tick; `:every` would store each offset in turn.
    @shaper = WorkShaper::Manager.new(work: work, ack: method(:store), on_error: method(:failed), acks: :latest)
    config = Rdkafka::Config.new(kafka)
    config.consumer_rebalance_listener = self
    @consumer = config.consumer
  end

  # Consumes until INT, TERM or a fatal error.
  def run
    @consumer.subscribe(@topic)
    take_messages until @shaper.shutting_down
  ensure
    wind_down
  end

  # Safe in a trap handler. `run` returns soon after.
  def stop
    @shaper.request_shutdown
  end

  # Whether all that was taken from Kafka is worked on and stored.
  def finished?
    @finished
  end

  # Called by rdkafka on the thread that polls: from here on nothing of these partitions is stored.
  def on_partitions_revoked(list)
    partitions = list.to_h.fetch(@topic, []).map(&:partition)
    partitions.each { |partition| @shaper.revoke(partition) }
    @held.reject! { |message| partitions.include?(message.partition) }
  end

  private

  # Polls whatever happens: a consumer that does not poll for max.poll.interval.ms is considered dead.
  def take_messages
    message = poll(@held.empty? ? 250 : 0)
    @held << message if message
    @held.shift while @held.any? && enqueue(@held.first)
    @held.empty? ? resume : pause
  rescue WorkShaper::ShuttingDown
    # What is held was never enqueued: Kafka delivers it again.
    @held.clear
  end

  # librdkafka recovers from errors that are not fatal (a broker gone, an unknown topic), or tries again, by itself.
  def poll(timeout_ms)
    @consumer.poll(timeout_ms)
  rescue Rdkafka::RdkafkaError => e
    raise if e.code == :fatal

    WorkShaper.logger.warn({ message: "Error from Kafka", error: e.message })
    nil
  end

  # Messages of one key stay in order; those without a key need no order, so each is a sub key of its own.
  def enqueue(message)
    @shaper.enqueue(message.key || message.offset, message, message.partition, message.offset, timeout: 1)
  rescue WorkShaper::Full
    false
  end

  # WorkShaper has been full for a second: let Kafka keep its messages meanwhile.
  def pause
    @consumer.pause(@consumer.assignment)
    @paused = true
  end

  def resume
    @consumer.resume(@consumer.assignment) if @paused
    @paused = false
  end

  # WorkShaper calls it when `offset` and all below it are finished. Returning an error says "not stored, continue";
  # raising one would shut WorkShaper down.
  def store(partition, offset)
    @consumer.store_offset(Finished.new(@topic, partition, offset))
  rescue Rdkafka::RdkafkaError => e
    raise unless LOST_PARTITION.include?(e.code)

    e
  end

  # The message counts as finished all the same; keep it somewhere if it must not be lost.
  def failed(error, _message, partition, offset)
    WorkShaper.logger.error({ message: "Work failed", offset: "#{partition}:#{offset}", error: error.message })
  end

  # On the thread that polls, since closing hands the partitions back by way of `on_partitions_revoked`.
  def wind_down
    @finished = @shaper.shutdown(timeout: @shutdown_timeout)
    # Kafka will deliver again what still runs after the timeout: none of it is stored any more.
    @shaper.stats[:partitions].each_key { |partition| @shaper.revoke(partition) } unless @finished
    commit
  ensure
    @consumer.close
  end

  def commit
    @consumer.commit
  rescue Rdkafka::RdkafkaError => e
    # no_offset: nothing was stored since the last commit. After other errors, closing makes another attempt.
    WorkShaper.logger.warn({ message: "Commit failed", error: e.message }) unless e.code == :no_offset
  end
end

# Your work goes here. It runs on many threads at once, but on one at a time for each key.
def work_on(message)
  sleep 0.005 # a query, an HTTP call
  puts "#{message.partition} #{message.offset} #{message.key} #{message.payload}"
end

$stdout.sync = true
Rdkafka::Config.logger = WorkShaper.logger

settings = ENV.select { |name, _| name.start_with?("LIBRDKAFKA_") }
              .transform_keys { |name| name.delete_prefix("LIBRDKAFKA_").downcase.tr("_", ".") }

consumer = ParallelConsumer.new(
  topic: ENV.fetch("TOPIC") { abort "TOPIC is not set" },
  shutdown_timeout: ENV.fetch("SHUTDOWN_TIMEOUT", "30").to_f,
  kafka: {
    "bootstrap.servers" => ENV.fetch("BOOTSTRAP_SERVERS", "localhost:9092"),
    "group.id" => ENV.fetch("GROUP_ID", "work_shaper_example"),
    "auto.offset.reset" => "earliest",     # where a new group begins
    "enable.auto.offset.store" => false,   # or a message counts as done when it is delivered
    "auto.commit.interval.ms" => 1_000     # how often librdkafka commits what is stored
  }.merge(settings)
) { |message, _partition, _offset| work_on(message) }

%w[INT TERM].each { |signal| trap(signal) { consumer.stop } }
consumer.run
exit consumer.finished?
