# frozen_string_literal: true

# Traces with the SDK: ruby open_telemetry_child.rb CASE [instrumented]. Prints as JSON what the case returned, the
# spans in the order in which they ended, and what OpenTelemetry was told of errors.

require "json"
require "opentelemetry-sdk"
require_relative "../support/child"

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"

# Fails where its name says.
class BadProcessor < OpenTelemetry::SDK::Trace::SpanProcessor
  def initialize(failing)
    super()
    @failing = failing
  end

  def on_start(*)
    raise "on_start" if @failing == "on_start"
  end

  def on_finish(*)
    raise "on_finish" if @failing == "on_finish"
  end
end

# Its own methods raise.
class Malicious < StandardError
  def message
    raise "no message"
  end

  def full_message(**)
    raise "no full message"
  end
end

# What a case does: each method is one.
module Cases
  class << self
    attr_reader :errors, :exporter

    def set_up(*processors)
      @errors = []
      @exporter = OpenTelemetry::SDK::Trace::Export::InMemorySpanExporter.new
      simple = OpenTelemetry::SDK::Trace::Export::SimpleSpanProcessor.new(@exporter)
      OpenTelemetry::SDK.configure do |config|
        [*processors, simple].each { |processor| config.add_span_processor(processor) }
        yield config if block_given?
      end
      OpenTelemetry.error_handler = ->(exception: nil, message: nil) { @errors << "#{message}: #{exception.inspect}" }
    end

    def message(headers: { "traceparent" => SENDER }, payload: "{}", **fields)
      WorkShaper::Message.new(topic: "orders", partition: 3, offset: 42, payload: payload, headers: headers, **fields)
    end

    def tracer(...)
      WorkShaper::OpenTelemetry.tracer(...)
    end

    def current
      OpenTelemetry::Trace.current_span.context
    end

    def done
      inside = nil
      returned = tracer(group: "billing", keys: true).call(message(key: "Zoë", payload: nil)) do
        inside = current.hex_span_id
        :returned
      end
      { returned: returned, inside: inside, outside: current.valid? }
    end

    # Without anything that can be left out.
    def bare
      tracer.call(message(headers: {}, key: "a customer's id")) { nil }
      tracer(group: "\xFF", keys: true).call(message(headers: {}, key: "\xFF\x00")) { nil }
      tracer(keys: true).call(message(headers: {})) { nil }
    end

    # Of each value of traceparent, the span that was taken for the sender's.
    def headers
      values = ["", "\xFF\xFE\x00".b, "\xFF", SENDER[0, 54], SENDER.tr("0-9a-f", "0"), "#{SENDER}\xFF",
                SENDER.encode("UTF-16LE"), nil, [], [SENDER, nil], [SENDER, "\xFF"], [SENDER, OTHER], [nil, SENDER],
                SENDER.upcase]
      values.map do |value|
        tracer.call(message(headers: { "traceparent" => value, "tracestate" => value, "baggage" => value })) { nil }
        exporter.finished_spans.last.then { |span| span.parent_span_id.unpack1("H*") }
      end
    end

    def raised
      errors = [IOError.new("disk"), NotImplementedError.new("no"), SystemExit.new(1, "exit"), Interrupt.new("INT"),
                Class.new(StandardError).new("nameless"), IOError.new("\xFFor".b), Malicious.new,
                IOError.new("ice").freeze, NoMemoryError.new("full"), IOError.new("x" * 2000)]
      errors.map do |error|
        tracer.call(message) { raise error }
      rescue Exception => e # rubocop:disable Lint/RescueException
        [e.equal?(error), current.valid?, error.frozen? || e.backtrace.first.start_with?(__FILE__)]
      end
    end

    # Leaves the work without an exception.
    def left
      thrown = catch(:done) { tracer.call(message) { throw :done, :thrown } }
      broken = tracer.call(message) { break :broken }
      killed = Thread.new do
        tracer.call(message) { Thread.current.kill }
      ensure
        Thread.current[:valid] = current.valid?
      end
      { thrown: thrown, broken: broken, killed: killed.join.value, valid: [current.valid?, killed[:valid]] }
    end

    # Within a span of somebody else's.
    def ambient
      OpenTelemetry.tracer_provider.tracer("request").in_span("request") do
        tracer.call(message) { tracer.call(message(headers: {})) { nil } }
      end
    end

    def around
      heard = []
      note = lambda do |name|
        ->(*, &work) { [heard << "#{name} in #{current.hex_span_id}", work.call, heard << "#{name} out"][1] }
      end
      inner = tracer(around: note.call("mine"))
      returned = [inner.call(message) { (heard << "work").size }, tracer.call(message) { :alone }]
      { heard: heard, returned: returned, same: tracer(around: inner).equal?(inner) }
    end

    # What work that fails raises.
    def failed
      tracer.call(message) { raise IOError, "disk" }
    rescue IOError => e
      e.message
    end

    # The propagation, then the headers, fail.
    def broken
      propagator = Object.new
      %i[extract inject].each { |name| propagator.define_singleton_method(name) { |*, **| raise name.to_s } }
      OpenTelemetry.propagation = propagator
      bad = Object.new
      %i[topic partition offset attempt payload].each { |name| bad.define_singleton_method(name) { 1 } }
      bad.define_singleton_method(:headers) { raise "librdkafka could not read them" }
      [tracer.call(message) { 1 }, failed, tracer.call(bad) { 3 }]
    end

    # A processor fails: the work is done once.
    %w[on_start on_finish].each do |failing|
      define_method(failing) do
        set_up(BadProcessor.new(failing))
        times = 0
        [tracer.call(message) { times += 1 }, failed, times]
      end
    end

    # Messages do not live on in a tracer, nor in their errors.
    def garbage
      shared = IOError.new("shared")
      tracing = tracer(group: "billing")
      kept = Array.new(1000) do |number|
        error = number.even? ? shared : IOError.new("own")
        tracing.call(message(key: number.to_s)) { raise error }
      rescue IOError => e
        e
      end
      exporter.reset
      GC.start
      { left: ObjectSpace.each_object(WorkShaper::Message).count, kept: kept.uniq(&:object_id).size }
    end

    def refused
      [{ group: 7 }, { around: 7 }, { around: ->(_message) {} }].map do |options|
        tracer(**options)
      rescue TypeError, ArgumentError => e
        "#{e.class}: #{e.message}"
      end
    end
  end
end

def hex(id)
  id.unpack1("H*")
end

def told(span)
  {
    trace: hex(span.trace_id), id: hex(span.span_id), parent: hex(span.parent_span_id), name: span.name,
    kind: span.kind, scope: span.instrumentation_scope.to_h, attributes: span.attributes,
    links: Array(span.links).map { |link| link.span_context.hex_span_id }, description: span.status.description,
    failed: span.status.code == OpenTelemetry::Trace::Status::ERROR,
    events: Array(span.events).map { |event| [event.name, event.attributes] }
  }
end

require_relative "open_telemetry_consumer" if ARGV.first == "consumer"
Cases.set_up do |config|
  next unless ARGV[1] == "instrumented"

  require "opentelemetry-instrumentation-rdkafka"
  config.use("OpenTelemetry::Instrumentation::Rdkafka")
end
result = Cases.public_send(ARGV.first)
spans = Cases.exporter.finished_spans.map { |span| told(span) }
$stdout.puts JSON.generate(result: result, spans: spans, errors: Cases.errors)
