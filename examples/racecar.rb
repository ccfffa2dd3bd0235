# frozen_string_literal: true

# A racecar consumer that works on each batch in parallel, in order for each key. racecar stores the offset of a batch
# when all of it is finished; when a message fails, it pauses the partition and repeats the batch.
#
#   bundle add work_shaper racecar ostruct
#   RACECAR_BROKERS=localhost:9092 bundle exec racecar --require ./examples/racecar OrdersConsumer
#
# Put your own work into `work_on`, below. Run by specs with racecar 2.12.

require "ostruct" # racecar 2.12 uses it, and relies on others to load it
require "racecar"
require "work_shaper"

# What it consumes, and how.
class OrdersConsumer < Racecar::Consumer
  subscribes_to ENV.fetch("TOPIC", "orders")

  # racecar takes a batch, splits it by partition, and works on one part after the other. So a batch should hold many
  # times more messages than there are threads, but no more than can be worked on in max_poll_interval (5 minutes).
  self.fetch_messages = 1_000
  self.max_wait_time = 0.1 # seconds to wait for a batch to become full

  # racecar calls it in the process that does the work (with parallel_workers: after forking), and again when it has
  # replaced its producer.
  def configure(**)
    @shaper ||= WorkShaper::Batches.new(concurrency: 50) { |message| work_on(message) }
    super
  end

  # Returns when every message is finished. The messages of a key stay in order; messages without a key need no order.
  def process_batch(messages)
    @shaper.process(messages, sub_key: lambda(&:key))
  rescue WorkShaper::ShuttingDown
    # The work was killed, or raised what is meant for the process: end the process, to be started again.
    Process.kill(:TERM, Process.pid)
    raise
  end

  # racecar calls it at the end, before it commits and leaves the group.
  def teardown
    @shaper.shutdown(timeout: 25)
  end

  private

  # Your work goes here. It runs on many threads at once, but on one at a time for each key.
  def work_on(message)
    sleep 0.005 # a query, an HTTP call
    puts "#{message.partition} #{message.offset} #{message.key} #{message.value}"
  end
end

$stdout.sync = true
