# frozen_string_literal: true

require "spec_helper"
require "json"
require_relative "framework"
require_relative "run"

# With the SDK: its in-memory exporter, propagators for W3C, and the instrumentation of rdkafka's producer.
RSpec.describe "WorkShaper::OpenTelemetry", watchdog: 300 do
  let(:framework) { Frameworks::Framework.new("open_telemetry").install }
  let(:sender) { "b7ad6b7169203331" }
  let(:senders_trace) { "0af7651916cd43dd8448eb211c80319c" }
  let(:none) { "0" * 16 }
  let(:messaging) do
    { "messaging.system.name" => "kafka", "messaging.system" => "kafka", "messaging.operation.name" => "process",
      "messaging.operation.type" => "process", "messaging.destination.name" => "orders",
      "messaging.destination.partition.id" => "3", "kafka.offset" => 42, "work_shaper.attempt" => 1 }
  end

  # What open_telemetry_child.rb says of a case: its result, the spans and the errors.
  def traced(*arguments)
    run = Frameworks::Run.new(framework, "ruby", File.join(__dir__, "open_telemetry_child.rb"), *arguments)
    expect(run.wait).to eq(0), -> { run.to_s }
    expect(run.output).not_to match(/^(WARN|ERROR|W,|E,)/), -> { run.to_s } # OpenTelemetry's log
    JSON.parse(run.stdout.lines.last).values_at("result", "spans", "errors")
  end

  def field(spans, name)
    spans.map { |span| span[name] }
  end

  it "makes a consumer span with the attributes of the conventions, in the trace of the headers" do
    result, spans, errors = traced("done")
    span, = spans
    expect(span).to include("name" => "process orders", "kind" => "consumer", "trace" => senders_trace,
                            "parent" => sender, "links" => [sender], "failed" => false, "events" => [])
    expect(span["scope"]).to eq("name" => "work_shaper", "version" => WorkShaper::VERSION)
    expect(span["attributes"]).to eq(messaging.merge("messaging.consumer.group.name" => "billing",
                                                     "kafka.message.tombstone" => true, "kafka.message.key" => "Zoë"))
    expect(result).to eq("returned" => "returned", "inside" => span["id"], "outside" => false)
    expect(errors).to be_empty
  end

  it "begins a trace where the headers have none, and tells no key unless asked to, nor what is no text" do
    _, spans, errors = traced("bare")
    expect(field(spans, "attributes")).to eq([messaging] * 3)
    expect(field(spans, "parent") + field(spans, "links")).to eq(([none] * 3) + ([[]] * 3))
    expect(field(spans, "trace").uniq.size).to eq(3)
    expect(errors).to be_empty
  end

  it "reads the last of several headers, and takes garbage for none" do
    parents, spans, errors = traced("headers")
    expect(parents).to eq(([none] * 11) + ["2" * 16, sender, sender])
    expect(field(spans, "links")).to eq(([[]] * 11) + [["2" * 16], [sender], [sender]])
    expect(errors).to be_empty
  end

  it "records what the work raises, whatever it is, and raises that very exception on" do
    result, spans, errors = traced("raised")
    expect(result.uniq).to eq([[true, false, true]])
    expect(field(spans, "failed").uniq).to eq([true])
    types = %w[IOError NotImplementedError SystemExit Interrupt _OTHER IOError Malicious IOError NoMemoryError IOError]
    expect(spans.map { |span| span["attributes"]["error.type"] }).to eq(types)
    cut = "#{"x" * 1000}... (1000 more characters)"
    texts = ["disk", "no", "exit", "INT", "nameless", "\uFFFDor", "", "ice", "full", cut]
    expect(field(spans, "description")).to eq(texts)
    expect(spans.map { |span| span["events"].map { |name, attributes| [name, attributes["exception.message"]] } })
      .to eq(texts.map { |text| text.empty? ? [] : [["exception", text]] })
    expect(errors).to eq(["work_shaper: a span is not complete: #<RuntimeError: no message>"])
  end

  it "ends the span when the work is left by a throw or a break, and when its thread is killed, which is an error" do
    result, spans, errors = traced("left")
    expect(result).to eq("thrown" => "thrown", "broken" => "broken", "killed" => nil, "valid" => [false, false])
    expect(field(spans, "failed")).to eq([false, false, true])
    expect(spans.last).to include("description" => "the thread was killed",
                                  "attributes" => messaging.merge("error.type" => "_OTHER"))
    expect(errors).to be_empty
  end

  it "is a child of the span that is current, with a link to the sender" do
    _, (nested, outer, request), = traced("ambient")
    expect(field([request, outer, nested], "parent")).to eq([none, request["id"], outer["id"]])
    expect(field([request, outer, nested], "links")).to eq([[], [sender], []])
    expect(field([request, outer, nested], "trace").uniq.size).to eq(1)
  end

  it "has the user's around inside" do
    result, spans, = traced("around")
    ids = field(spans, "id")
    expect(result).to eq(
      "heard" => ["mine in #{ids[0]}", "work", "mine out"], "returned" => [2, "alone"], "same" => true
    )
  end

  it "never makes work fail, nor run again, when tracing fails" do
    result, spans, errors = traced("broken")
    expect(result).to eq([1, "disk", 3])
    expect(field(spans, "failed")).to eq([false, true, false])
    expect(errors.map { |error| error[/(?<=RuntimeError: ).*(?=>)/] })
      .to eq(["extract", "extract", "inject", "librdkafka could not read them"])
    %w[on_start on_finish].each do |failing|
      result, spans, errors = traced(failing)
      expect([result, spans, errors.size]).to eq([[1, "disk", 1], [], 2])
    end
  end

  it "keeps no message" do
    result, = traced("garbage")
    expect(result).to match("left" => be < 10, "kept" => 501)
  end

  it "refuses what it cannot use" do
    expect(traced("refused").first).to match([/TypeError: group is 7/, /TypeError: around is 7/, /no block/])
  end

  # The try of a message.
  def try(spans, offset, attempt)
    spans.find do |span|
      span["name"] == "process orders" &&
        span["attributes"].values_at("kafka.offset", "work_shaper.attempt") == [offset, attempt]
    end
  end

  # All of its trace, in the order in which they ended.
  def trace_of(spans, offset)
    trace = try(spans, offset, 1)["trace"]
    spans.select { |span| span["trace"] == trace }
  end

  def traceparent(span)
    "00-#{span["trace"]}-#{span["id"]}-01"
  end

  it "traces each try of a consumer that asks for it; a dead letter goes on from the last one that failed" do
    result, spans, errors = traced("consumer")
    expect(errors).to be_empty
    first, second, read = trace = trace_of(spans, 0)
    expect(field(trace, "name")).to eq(["process orders", "process orders", "process dead"])
    expect(field(trace, "parent")).to eq([sender, sender, second["id"]])
    expect(field(trace, "failed")).to eq([true, true, false])
    expect(trace.map { |span| span["attributes"].values_at("messaging.consumer.group.name", "work_shaper.attempt") })
      .to eq([["specs", 1], ["specs", 2], ["readers", 1]])
    expect([first["trace"], read["links"]]).to eq([senders_trace, [second["id"]]])
    expect(trace_of(spans, 3).map { |span| span["failed"] }).to eq([false])
    # The sender of b was not traced: each try begins a trace. The callable that gave c up ran in a span of its own.
    expect(result["letters"]).to contain_exactly(["a", traceparent(second), "IOError"],
                                                 ["b", traceparent(try(spans, 1, 2)), "IOError"],
                                                 ["c", traceparent(try(spans, 2, 1)), "EOFError"])
    expect(result["arounds"]).to match_array(field(spans.select { |span| span["name"] == "process orders" }, "id"))
    given_up_in = spans.find { |span| span["id"] == result["given_up_in"] }
    expect(given_up_in).to include("name" => "process orders", "failed" => false, "parent" => none)
  end

  it "keeps a dead letter in its trace when others trace the producer" do
    _, spans, errors = traced("consumer", "instrumented")
    expect(errors).to be_empty
    sent, _first, second, letter, = trace = trace_of(spans, 0)
    expect(field(trace, "name"))
      .to eq(["orders publish", "process orders", "process orders", "dead publish", "process dead"])
    expect(field(trace, "parent")).to eq([none, sent["id"], sent["id"], second["id"], letter["id"]])
  end

  it "says which gem is missing; without it, nobody notices" do
    expect_child_to_pass(<<~RUBY, env: { "BUNDLE_GEMFILE" => nil, "RUBYOPT" => nil })
      Gem.paths = { "GEM_HOME" => "/nowhere", "GEM_PATH" => "/nowhere" }
      missing = "work_shaper/open_telemetry needs the opentelemetry-api gem: bundle add opentelemetry-api"
      2.times { same(missing, raised(LoadError) { WorkShaper::OpenTelemetry.tracer }.message) }
      same(missing, raised(LoadError) { require "work_shaper/open_telemetry" }.message)
      expect_intact(manager)
      passed
    RUBY
  end
end
