# frozen_string_literal: true

# The recipes of docs/operation.md as they stand there, beside a consumer on librdkafka's mock cluster. Prints what each
# library has to say in the end, as JSON.

require "active_support"
require "active_support/notifications"
require "json"
require "prometheus/client"
require "rack"
require "statsd-instrument"
require "work_shaper/consumer"
require "yabeda"
require_relative "../support/child"
require_relative "../support/consumer/child"

# Keeps what it is told of Yabeda's metrics, as one that goes to a metrics system would.
class Adapter < Yabeda::BaseAdapter
  attr_reader :measured

  def initialize
    super
    @measured = Queue.new
  end

  %i[register_counter! register_gauge! register_histogram!].each { |name| define_method(name) { |_metric| nil } }
  %i[perform_counter_increment! perform_gauge_set! perform_histogram_measure!].each do |name|
    define_method(name) { |metric, tags, value| @measured << [metric.name, tags, value] }
  end
end

# The Ruby below a heading of the document.
def recipe(heading)
  File.read(File.expand_path("../../docs/operation.md", __dir__)).split("\n### With #{heading}\n").fetch(1)
      .slice(/^```ruby\n(.*?)^```\n/m, 1)
end

def drained(queue)
  Array.new(queue.size) { queue.pop }
end

WorkShaper.logger = Logger.new(File::NULL)
mock_topic(3)
CONSUMER = mock_consumer(config: { "session.timeout.ms": 10_000 }, attempts: 1, give_up: :skip) do |message|
  raise IOError if message.offset == 1
end

adapter = Adapter.new
Yabeda.register_adapter(:specs, adapter)
eval(recipe("yabeda")) # rubocop:disable Security/Eval -- our own document
Yabeda.configure!
sink = StatsD::Instrument::CaptureSink.new(parent: StatsD::Instrument::NullSink.new)
StatsD.singleton_client = StatsD::Instrument::Client.new(sink: sink, prefix: nil)
gauges = eval(recipe("StatsD")) # rubocop:disable Security/Eval
scrape = Rack::Builder.new.tap { |builder| builder.instance_eval(recipe("prometheus-client")) }.to_app
Prometheus::Client.registry.counter(:own, docstring: "One of the application's").increment

thread = Thread.new { CONSUMER.run }
wait_until("all of it") do
  CONSUMER.stats.any? && CONSUMER.stats[:total_acked] == 3 && CONSUMER.stats[:partitions]["orders/0"][:lag]&.zero?
end
wait_until("a gauge") do
  gauges.wakeup # it sleeps for ten seconds
  sink.datagrams.any? { |datagram| datagram.type == :g && datagram.value.zero? }
end
wait_until("all events") do
  names = sink.datagrams.map(&:name)
  names.count("work_shaper.queue_duration_ms") == 3 && names.include?("work_shaper.failures")
end
Yabeda.collect!
answer = Rack::MockRequest.new(scrape).get("/metrics")
CONSUMER.stop
ended(thread)

statsd = sink.datagrams.map { |datagram| [datagram.name, datagram.tags.sort, datagram.value] }
$stdout.puts JSON.generate(yabeda: drained(adapter.measured), statsd: statsd,
                           prometheus: [answer.headers["content-type"], answer.body])
