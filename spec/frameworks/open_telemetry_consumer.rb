# frozen_string_literal: true

require_relative "../support/consumer/child"

# What a consumer traces, on librdkafka's mock cluster in this process.
module Cases
  MAIN = TOPLEVEL_BINDING.receiver
  WORK = { "io" => IOError, "eof" => EOFError }.freeze

  class << self
    # Two tries, then a topic; what raises EOFError is given up by a callable, at once. What comes there is traced, too.
    def consumer
      %w[orders dead].each { |topic| MAIN.mock.create_topic(topic, partitions: 1) }
      MAIN.mock.produce("orders", [[0, "a", "io", { "traceparent" => SENDER }], [0, "b", "io"], [0, "c", "eof"],
                                   [0, "d", "well"]])
      give_up = lambda do |_failure|
        @given_up_in = current.hex_span_id
        "dead"
      end
      arounds = Queue.new
      around = ->(_message, &work) { (arounds << current.hex_span_id) && work.call }
      consumer = MAIN.mock_consumer(open_telemetry: true, around: around, attempts: 2, wait: 0.01, give_up: "dead",
                                    rules: { EOFError => give_up }, dead_letter_topics: %w[dead], &method(:work))
      running(consumer) { |stats| stats[:total_dead_lettered] == 3 && stats[:in_flight].zero? }
      { letters: read("dead", 3), given_up_in: @given_up_in, arounds: Array.new(arounds.size) { arounds.pop } }
    end

    private

    def work(message)
      raise WORK.fetch(message.payload), message.payload if WORK.key?(message.payload)
    end

    def running(consumer)
      thread = Thread.new { consumer.run }
      MAIN.wait_until("what the consumer is to do") { thread.alive? && consumer.stats.any? && yield(consumer.stats) }
      consumer.stop
      MAIN.ended(thread)
    end

    # Key, traceparent and error of each.
    def read(topic, count)
      letters = Queue.new
      ENV["WORK_SHAPER_OPEN_TELEMETRY"] = "1"
      config = { "bootstrap.servers": MAIN.mock.bootstrap_servers, "group.id": "readers" }
      reader = WorkShaper::Consumer.new(config: config, topics: topic) { |message| letters << message }
      running(reader) { |stats| letters.size == count && stats[:in_flight].zero? }
      Array.new(count) do
        letter = letters.pop
        [letter.key, letter.headers["traceparent"], letter.headers["__dlq.errors.exception.class"]]
      end
    end
  end
end
