# frozen_string_literal: true

# A Kafka consumer that works on the messages of each partition in parallel: in order for each key, and an offset is
# committed only when it and all below it are finished.
#
#   gem install work_shaper rdkafka
#   BOOTSTRAP_SERVERS=localhost:9092 TOPIC=orders GROUP_ID=orders ruby examples/consumer.rb

require "work_shaper/consumer"

# Your work goes here. It runs on many threads at once, but on one at a time for each key.
def work_on(message)
  sleep 0.005 # a query, an HTTP call
  puts "#{message.partition} #{message.offset} #{message.key} #{message.payload}"
end

$stdout.sync = true

consumer = WorkShaper::Consumer.new(
  config: {
    "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS", "localhost:9092"),
    "group.id": ENV.fetch("GROUP_ID", "work_shaper_example")
  },
  topics: ENV.fetch("TOPIC") { abort "TOPIC is not set" },
  concurrency: 50
) { |message| work_on(message) }

exit consumer.run # until INT or TERM; false when what ran was not finished in time
