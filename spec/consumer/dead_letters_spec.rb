# frozen_string_literal: true

# Needs nothing of the extension.
require "io/wait"
require "logger"
require "rdkafka"
require "securerandom"
require "work_shaper/log"
require "work_shaper/consumer/dead_letters"
require_relative "../../support/kafka/mock_cluster"

# What these examples share: failures, a mock cluster with somebody who reads it, and stand-ins for producers.
module DeadLetterHelpers
  LIMIT = 20
  Clock = WorkShaper.const_get(:Clock)
  DeadLetters = WorkShaper::Consumer.const_get(:DeadLetters)
  Letter = DeadLetters.const_get(:Letter)
  Producer = DeadLetters.const_get(:Producer)
  Message = Struct.new(:topic, :partition, :offset, :key, :payload, :headers, :timestamp, keyword_init: true) do
    def id
      "#{topic}/#{partition}/#{offset}"
    end
  end
  TraceHeaders = WorkShaper.const_get(:TraceHeaders)
  Failure = Struct.new(:message, :error, :attempts, :first_failed_at, keyword_init: true)

  # More of librdkafka, on the gem's own library.
  module Native
    extend FFI::Library

    ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

    attach_function :rd_kafka_test_fatal_error, %i[pointer int string], :int
    attach_function :rd_kafka_mock_push_request_errors_array, %i[pointer int16 size_t pointer], :void
    attach_function :rd_kafka_mock_broker_set_down, %i[pointer int32], :int
  end

  # The mock cluster of this file.
  class Cluster < KafkaSupport::MockCluster
    PRODUCE = 0

    def self.shared
      @shared ||= new
    end

    def self.close_shared
      @shared&.close
      @shared = nil
    end

    def initialize
      Rdkafka::Config.logger = Logger.new(File::NULL)
      super
    end

    # A name that no other cluster has: rdkafka remembers the partitions of a name for all clusters of the process.
    def topic(partitions: 1)
      "letters-#{SecureRandom.hex(6)}".tap { |name| create_topic(name, partitions: partitions) }
    end

    # So many messages of a topic.
    def read(topic, count, partitions: 1)
      list = Rdkafka::Consumer::TopicPartitionList.new
      list.add_topic_and_partitions_with_offsets(topic, (0...partitions).to_h { |number| [number, 0] })
      reader.assign(list)
      messages = []
      DeadLetterHelpers.wait_until("all messages") { messages.push(*reader.poll(20)).size >= count }
      messages
    end

    def refuse_produce(*codes)
      array = FFI::MemoryPointer.new(:int, codes.size).write_array_of_int(codes)
      Native.rd_kafka_mock_push_request_errors_array(@cluster, PRODUCE, codes.size, array)
    end

    def down
      Native.rd_kafka_mock_broker_set_down(@cluster, 1)
    end

    def close
      @reader&.close
      super
    end

    private

    def reader
      @reader ||= Rdkafka::Config.new("bootstrap.servers": bootstrap_servers, "group.id": "reader",
                                      "auto.offset.reset": "earliest").consumer
    end
  end

  # A handle as the rdkafka gem's, which an example finishes.
  class Handle
    attr_writer :pending, :error

    def initialize(pending: false, error: nil)
      @pending = pending
      @error = error
    end

    def pending?
      @pending
    end

    def wait
      raise @error if @error

      :report
    end
  end

  # Answers as the rdkafka gem's producer; the block gives the handles.
  class RdkafkaLike
    attr_reader :sent

    def initialize(&handle)
      @sent = []
      @handle = handle || proc { Handle.new }
    end

    def produce(**fields)
      @sent << fields
      @handle.call(fields)
    end
  end

  # Answers as WaterDrop's: one Hash.
  class WaterDropLike < RdkafkaLike
    undef produce

    def produce_async(fields)
      @sent << fields
      @handle.call(fields)
    end

    def partition_count(_topic)
      3
    end
  end

  # Raises where others tell what happened.
  class Shy < StandardError
    def message
      raise "no"
    end
  end

  def self.wait_until(what)
    limit = Clock.now + LIMIT
    until (value = yield)
      raise "waited #{LIMIT} s for #{what}" if Clock.now > limit

      sleep 0.002
    end
    value
  end

  def wait_until(...)
    DeadLetterHelpers.wait_until(...)
  end

  def cluster
    Cluster.shared
  end

  def raised(error)
    raise error
  rescue error.class
    error
  end

  def failure(error: raised(IOError.new("oh no")), attempts: 3, **fields)
    defaults = { topic: "orders", partition: 2, offset: 42, key: "k", payload: "p", headers: {}.freeze,
                 timestamp: Time.at(1_700_000_000, 123, :millisecond) }
    Failure.new(message: Message.new(**defaults, **fields), error: error, attempts: attempts,
                first_failed_at: Time.now)
  end

  # Dead letters that note what they answer, closed after the example.
  def letters(config: {}, **options, &answer)
    note = answer || ->(given, error) { answers << [given, error] }
    servers = { "bootstrap.servers" => cluster.bootstrap_servers, "group.id" => "specs" }
    DeadLetters.new(config: servers.merge(config), **options, &note).tap { |made| (@letters ||= []) << made }
  end

  def answers
    @answers ||= Thread::Queue.new
  end

  # The next answer.
  def answer
    wait_until("an answer") { answers.pop(true) unless answers.empty? }
  end

  def thread_of(letters)
    letters.instance_variable_get(:@thread)
  end

  def client_of(letters)
    letters.instance_variable_get(:@producer).client
  end

  def seconds
    began = Clock.now
    yield
    Clock.now - began
  end

  def close_letters
    @letters&.each { |made| made.close(LIMIT) }
  end
end

RSpec.describe "dead letters" do
  include DeadLetterHelpers

  before { WorkShaper.logger = Logger.new(File::NULL) }

  after { close_letters }
  after(:context) { DeadLetterHelpers::Cluster.close_shared } # rubocop:disable RSpec/BeforeAfterAll -- takes a second

  def built(failure = self.failure, **options)
    DeadLetterHelpers::Letter.build(failure, "dead", **options)
  end

  def errors(failure = self.failure, **options)
    built(failure, **options)[:headers].transform_keys { |name| name.delete_prefix("__dlq.errors.") }
  end

  describe "what is sent" do
    it "is the message as it came" do
      expect(built).to include(topic: "dead", key: "k", payload: "p", timestamp: 1_700_000_000_123)
      expect(built(failure(key: nil, payload: nil, timestamp: nil)))
        .to include(key: nil, payload: nil, timestamp: nil)
    end

    it "says what happened, in valid UTF-8" do
      now = Time.at(1_800_000_000, 999, :millisecond)
      cause = raised(KeyError.new("cause"))
      error = begin
        raise IOError, "grün", cause: cause
      rescue IOError => e
        e
      end
      headers = built(failure(error: error, topic: "orders".b), group: "group", now: now)[:headers]
      expect(headers).to include(
        "__dlq.errors.topic" => "orders", "__dlq.errors.partition" => "2", "__dlq.errors.offset" => "42",
        "__dlq.errors.group" => "group", "__dlq.errors.delivery.count" => "3", "__dlq.errors.message" => "grün",
        "__dlq.errors.exception.class" => "IOError", "__dlq.errors.exception.cause" => "KeyError: cause",
        "__dlq.errors.timestamp" => "1700000000123", "__dlq.errors.failed.at" => "1800000000999"
      )
      expect(headers["__dlq.errors.backtrace"]).to start_with("#{__FILE__}:")
      expect(headers.size).to eq(11)
      expect(headers.values).to all(have_attributes(encoding: Encoding::UTF_8).and(be_valid_encoding))
    end

    it "leaves out what is not there" do
      expect(errors(failure(error: IOError.new("never raised"), timestamp: nil)).keys)
        .to match_array(%w[topic partition offset delivery.count message exception.class failed.at])
    end

    it "has the headers of the message, and replaces those of an earlier pass" do
      given = { "a".b => "1".b, "größe".b => %w[2 3], "none" => nil, "some" => ["4", nil],
                "__dlq.errors.message".b => "old", "__dlq.errors.anything".b => "old" }.freeze
      headers = built(failure(headers: given))[:headers]
      expect(headers.reject { |name, _| name.start_with?("__dlq.errors.") })
        .to eq("a" => "1", "größe".b => %w[2 3], "none" => "", "some" => ["4", ""])
      expect(headers).to include("__dlq.errors.message" => "oh no")
      expect(headers).not_to have_key("__dlq.errors.anything")
    end

    it "goes on with the trace of the try that failed, where that left its headers on the error" do
      given = failure(headers: { "traceparent".b => %w[sent again], "baggage" => "kept" })
      DeadLetterHelpers::TraceHeaders.leave(given.error, given.message, { "traceparent" => "tried" })
      expect(built(given)[:headers]).to include("traceparent" => "tried", "baggage" => "kept")
      expect(built(given, headers: ->(_) { { "traceparent" => "mine" } })[:headers]).to include("traceparent" => "mine")
      another = failure(error: given.error, offset: 43, headers: { "traceparent" => "another's" })
      expect(built(another)[:headers]).to include("traceparent" => "another's")
    end

    it "goes on with the trace of the message when the error can keep nothing" do
      given = failure(error: IOError.new("ice").freeze, headers: { "traceparent" => "sent" })
      DeadLetterHelpers::TraceHeaders.leave(given.error, given.message, { "traceparent" => "tried" })
      expect(built(given)[:headers]).to include("traceparent" => "sent")
    end

    it "survives errors whose text is not text" do
      expect(errors(failure(error: IOError.new("bad \xFF byte")))["message"]).to eq("bad \uFFFD byte")
      expect(errors(failure(error: IOError.new("gr\xFCn".dup.force_encoding("ISO-8859-1"))))["message"]).to eq("grün")
      expect(errors(failure(error: IOError.new("gr\xC3\xBCn".b)))["message"]).to eq("grün")
      expect(errors(failure(error: IOError.new("a\0".dup.force_encoding("UTF-16"))))["message"]).to be_valid_encoding
      expect(errors(failure(error: DeadLetterHelpers::Shy.new)))
        .to include("exception.class" => "DeadLetterHelpers::Shy", "message" => "(its message cannot be had)")
      expect(errors(failure(error: Class.new(StandardError).new("x")))["exception.class"]).to start_with("#<Class:")
    end

    it "has ten lines and 4 kB of the backtrace at most" do
      error = IOError.new
      error.set_backtrace(Array.new(12) { |number| "line #{number}" })
      expect(errors(failure(error: error))["backtrace"].lines.map(&:chomp)).to eq((0..9).map { |n| "line #{n}" })
      error.set_backtrace(["é" * 4000])
      expect(errors(failure(error: error))["backtrace"]).to eq("é" * 2048)
      error.set_backtrace(["a#{"é" * 4000}"])
      expect(errors(failure(error: error))["backtrace"]).to eq("a#{"é" * 2047}")
    end

    it "gets smaller: without the backtrace, then with the texts cut" do
      given = failure(error: raised(IOError.new("m" * 1000)))
      expect(errors(given, size: :whole)).to include("message" => "m" * 1000, "backtrace" => a_kind_of(String))
      expect(errors(given, size: :without_backtrace)["message"]).to eq("m" * 1000)
      expect(errors(given, size: :cut)["message"]).to eq("m" * 200)
      expect(%i[without_backtrace cut].map { |size| errors(given, size: size).key?("backtrace") }).to eq([false, false])
    end

    it "has other headers in the place of ours, if asked to, as Strings" do
      given = failure(headers: { "größe".b => "1", "kept" => "2", "__dlq.errors.topic" => "kept, too" })
      other = ->(failed) { { "größe" => 7, source: failed.message.topic, many: [1, nil], none: nil } }
      expect(built(given, headers: other)[:headers])
        .to eq("größe".b => "7", "kept" => "2", "__dlq.errors.topic" => "kept, too", "source" => "orders",
               "many" => ["1", ""], "none" => "")
      expect { built(given, headers: ->(_) { 1 }) }.to raise_error(TypeError, /returned 1; it must return a Hash/)
    end
  end

  describe "our producer's config" do
    it "has brokers, security and connections of the consumer's, and nothing else of it" do
      taken = { "bootstrap.servers" => "a:1", "security.protocol" => "SASL_SSL", "sasl.password" => "secret",
                "ssl.ca.location" => "/ca", "enable.ssl.certificate.verification" => "false",
                "socket.keepalive.enable" => "true", "client.id" => "me", "message.max.bytes" => "5000" }
      left = { "group.id" => "g", "test.mock.num.brokers" => "1", "enable.auto.commit" => "true",
               "statistics.interval.ms" => "5", "acks" => "0", "auto.offset.reset" => "earliest" }
      config = DeadLetterHelpers::Producer.config(taken.merge(left))
      expect(config).to include(**taken, "acks" => "all", "enable.idempotence" => "true")
      expect(config.keys & (left.keys - ["acks"])).to be_empty
    end

    it "is shown by nothing" do
      made = letters(config: { "sasl.password" => "secret" })
      expect([made.inspect, made.instance_variable_get(:@producer).inspect].join).not_to include("secret")
    end
  end

  describe "at the door" do
    it "refuses what cannot be used" do
      expect { letters(producer: Object.new) }.to raise_error(TypeError, /class Object; it must answer produce_async/)
      expect { letters(headers: 1) }.to raise_error(TypeError, /headers is 1; it must answer call/)
      expect { DeadLetterHelpers::DeadLetters.new(config: {}) }.to raise_error(ArgumentError, /no block/)
    end
  end

  describe "sending" do
    it "arrives as it came, with the time, in the same partition modulo those of the topic" do
      topic = cluster.topic(partitions: 3)
      given = [failure(partition: 7, headers: { "a" => %w[1 2], "none" => nil }), failure(partition: 2, payload: nil),
               failure(partition: 3, key: nil, payload: ""), failure(partition: 1, key: "", payload: "\0\xFF".b)]
      made = letters
      given.each { |failed| made.deliver(failed, topic) }
      expect(Array.new(4) { answer }).to match_array(given.map { |failed| [failed, nil] })
      came = cluster.read(topic, 4, partitions: 3)
      expect(came.map { |message| [message.partition, message.key, message.payload] })
        .to contain_exactly([1, "k", "p"], [2, "k", nil], [0, nil, ""], [1, "", "\0\xFF".b])
      expect(came.map(&:timestamp)).to all(eq(given[0].message.timestamp))
      expect(came.find { |message| message.payload == "p" }.headers)
        .to include("a" => %w[1 2], "none" => "", "__dlq.errors.partition" => "7", "__dlq.errors.group" => "specs")
    end

    it "answers thousands, each once, on a thread of its own" do
      topic = cluster.topic
      threads = Thread::Queue.new
      made = letters { |failed, error| threads << [failed, error, Thread.current.name] }
      given = Array.new(3000) { |number| failure(offset: number, partition: 0) }
      given.each { |failed| made.deliver(failed, topic) }
      wait_until("all answers") { threads.size >= 3000 }
      rows = Array.new(threads.size) { threads.pop }
      expect(rows.map { |row| row[0].message.offset }).to match_array(0...3000)
      expect(rows.map { |row| row[1..] }.uniq).to eq([[nil, "work_shaper dead letters"]])
    end

    it "leaves out the backtrace, then cuts the texts, then says that it is too large" do
      topic = cluster.topic
      made = letters(config: { "message.max.bytes" => "6000" })
      error = raised(IOError.new("m" * 1000))
      error.set_backtrace(Array.new(10) { "b" * 300 })
      sizes = { whole: 100, without_backtrace: 3000, cut: 5000, never: 6000 }
      sizes.each_value { |bytes| made.deliver(failure(error: error, payload: "p" * bytes), topic) }
      outcome = Array.new(4) { answer }.to_h { |failed, wrong| [failed.message.payload.size, wrong] }
      expect(outcome.values_at(100, 3000, 5000)).to all(be_nil)
      expect(outcome[6000]).to be_a(WorkShaper::TooLarge).and be_a(WorkShaper::Error)
      expect(outcome[6000].cause).to have_attributes(code: :msg_size_too_large)
      headers = cluster.read(topic, 3).to_h { |message| [message.payload.size, message.headers] }
      expect(headers.transform_values { |row| [row["__dlq.errors.message"].size, row.key?("__dlq.errors.backtrace")] })
        .to eq(100 => [1000, true], 3000 => [1000, false], 5000 => [200, false])
    end

    it "takes a broker's word for it, too" do
      topic = cluster.topic
      cluster.refuse_produce(10, 10) # MESSAGE_TOO_LARGE
      letters.deliver(failure, topic)
      expect(answer.last).to be_nil
      expect(cluster.read(topic, 1)[0].headers).not_to have_key("__dlq.errors.backtrace")
    end

    it "answers with what a broker refuses it for, and can send it again" do
      topic = cluster.topic
      cluster.refuse_produce(87) # INVALID_RECORD
      made = letters
      made.deliver(failure, topic)
      expect(answer.last).to have_attributes(code: :invalid_record)
      made.deliver(failure, topic)
      expect(answer.last).to be_nil
    end

    it "leaves out a time that the broker does not take; the headers have it" do
      topic = cluster.topic
      cluster.refuse_produce(32) # INVALID_TIMESTAMP
      began = Time.now
      letters.deliver(failure, topic)
      expect(answer.last).to be_nil
      letter = cluster.read(topic, 1)[0]
      expect(letter.timestamp).to be >= began.floor(3)
      original = failure.message.timestamp
      expect(letter.headers["__dlq.errors.timestamp"]).to eq((original.to_r * 1000).floor.to_s)
    end

    it "tries that once at each delivery" do
      topic = cluster.topic
      cluster.refuse_produce(32, 32)
      made = letters
      made.deliver(failure, topic)
      expect(answer.last).to have_attributes(code: :invalid_timestamp)
      made.deliver(failure, topic)
      expect(answer.last).to be_nil
    end

    it "leaves the partition to the key when the topic has fewer than rdkafka remembers" do
      topic = cluster.topic(partitions: 2)
      Rdkafka::Producer.partitions_count_cache.set(topic, 50)
      letters.deliver(failure(partition: 40), topic)
      expect(answer.last).to be_nil
      expect(cluster.read(topic, 1, partitions: 2).size).to eq(1)
    end

    it "makes a producer anew that is fatal" do
      topic = cluster.topic
      made = letters
      made.deliver(failure, topic)
      expect(answer.last).to be_nil
      broken = client_of(made)
      broken.instance_variable_get(:@native_kafka).with_inner do |native|
        DeadLetterHelpers::Native.rd_kafka_test_fatal_error(native, 45, "for the spec")
      end
      made.deliver(failure, topic)
      expect(answer.last).to have_attributes(code: :fatal)
      made.deliver(failure, topic)
      expect(answer.last).to be_nil
      expect(client_of(made)).not_to be(broken)
      wait_until("the old one to be closed") { broken.closed? }
    end

    it "answers when its own producer cannot be made, which is tried again later" do
      made = letters(config: { "security.protocol" => "ssl", "ssl.ca.location" => "/does/not/exist" })
      2.times { made.deliver(failure, "dead") }
      errors = Array.new(2) { answer.last }
      expect(errors).to all(be_a(Rdkafka::Config::ClientCreationError))
      expect(errors[0]).to be(errors[1])
    end

    it "says within seconds that no broker is there" do
      letters(config: { "bootstrap.servers" => "127.0.0.1:9" }).deliver(failure, "dead")
      expect(answer.last).to have_attributes(code: :transport)
    end
  end

  describe "with a caller's producer" do
    it "calls WaterDrop's, with the partition" do
      producer = DeadLetterHelpers::WaterDropLike.new
      made = letters(producer: producer)
      made.deliver(failure(partition: 5), "dead")
      made.deliver(failure(key: ""), "dead")
      expect(Array.new(2) { answer.last }).to eq([nil, nil])
      expect(producer.sent[0].keys).to match_array(%i[topic payload key partition headers timestamp])
      expect(producer.sent.map { |fields| fields.values_at(:topic, :partition, :key) })
        .to eq([["dead", 2, "k"], ["dead", 2, nil]])
    end

    it "leaves the partition to one that knows no partition_count" do
      producer = DeadLetterHelpers::RdkafkaLike.new
      letters(producer: producer).deliver(failure, "dead")
      expect(answer.last).to be_nil
      expect(producer.sent[0]).not_to have_key(:partition)
    end

    it "answers with what it raises, and with what comes of a handle" do
      late = DeadLetterHelpers::Handle.new(pending: true, error: IOError.new("late"))
      outcomes = [-> { raise IOError, "at once" }, -> { late }, -> { "handle" }, -> { DeadLetterHelpers::Handle.new }]
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new { outcomes.shift.call })
      4.times { |number| made.deliver(failure(offset: number), "dead") }
      first = Array.new(3) { answer }
      expect(first.map { |failed, error| [failed.message.offset, error&.message] })
        .to match([[0, "at once"], [2, /class String; it must return a handle/], [3, nil]])
      late.pending = false
      expect(answer.last).to have_attributes(message: "late")
    end

    it "sees what is too large or fatal through WaterDrop's own errors, and closes nothing" do
      codes = [10, 10, -150] # MSG_SIZE_TOO_LARGE, _FATAL
      producer = DeadLetterHelpers::WaterDropLike.new do
        code = codes.shift
        raise Rdkafka::RdkafkaError, code if code

        DeadLetterHelpers::Handle.new
      rescue Rdkafka::RdkafkaError
        raise "wrapped"
      end
      made = letters(producer: producer)
      2.times { made.deliver(failure, "dead") }
      expect([answer, answer].map(&:last)).to contain_exactly(have_attributes(message: "wrapped"), nil)
      expect(producer.sent.map { |fields| fields[:headers].key?("__dlq.errors.backtrace") }.tally)
        .to eq(true => 2, false => 2)
      expect(client_of(made)).to be(producer)
    end

    it "sees that WaterDrop finds the payload too large" do
      stub_const("WaterDrop::Errors::MessageInvalidError", Class.new(StandardError))
      made = letters(producer: DeadLetterHelpers::WaterDropLike.new do
        raise WaterDrop::Errors::MessageInvalidError, "{:payload=>\"is more than `max_payload_size` config value\"}"
      end)
      made.deliver(failure, "dead")
      expect(answer.last).to be_a(WorkShaper::TooLarge)
    end

    it "leaves the partition to one whose partition_count is no number" do
      producer = DeadLetterHelpers::WaterDropLike.new
      producer.define_singleton_method(:partition_count) { |_topic| self }
      letters(producer: producer).deliver(failure, "dead")
      expect(answer.last).to be_nil
      expect(producer.sent[0]).not_to have_key(:partition)
    end

    it "tells those that wait when a look-up takes too long, and uses what comes of it" do
      stub_const("#{DeadLetterHelpers::Producer}::Lookup::PATIENCE", 0.05)
      gate = Thread::Queue.new
      producer = DeadLetterHelpers::WaterDropLike.new
      producer.define_singleton_method(:partition_count) { |_topic| gate.pop }
      made = letters(producer: producer)
      made.deliver(failure, "dead")
      expect(answer.last).to have_attributes(message: "no broker said in 0.05 s how many partitions dead has")
      gate << 2
      wait_until("the look-up to end") { made.deliver(failure(partition: 3), "dead") || answer.last.nil? }
      expect(producer.sent.map { |fields| fields[:partition] }).to eq([1])
    end

    it "does not let a topic that cannot be looked up hold up others, and soon looks again" do
      gate = Thread::Queue.new
      producer = DeadLetterHelpers::WaterDropLike.new
      producer.define_singleton_method(:partition_count) { |topic| topic == "slow" ? gate.pop : 4 }
      made = letters(producer: producer)
      %w[slow quick].each_with_index { |topic, number| made.deliver(failure(offset: number), topic) }
      expect(answer.first.message.offset).to eq(1)
      gate << -1 # as rdkafka answers for a topic that is not there
      expect(answer.last).to have_attributes(code: :unknown_topic_or_part)
      made.deliver(failure, "slow")
      expect(answer.last).to have_attributes(code: :unknown_topic_or_part)
      gate << 1
      wait_until("another look") { made.deliver(failure, "slow") || answer.last.nil? }
      expect(producer.sent.last).to include(topic: "slow", partition: 0)
    end

    it "counts headers that cannot be had as a failed send" do
      outcomes = [-> { raise NotImplementedError, "no headers" }, -> { { a: 1 } }]
      producer = DeadLetterHelpers::RdkafkaLike.new
      made = letters(producer: producer, headers: ->(_) { outcomes.shift.call })
      2.times { made.deliver(failure, "dead") }
      expect([answer, answer].map(&:last)).to match([have_attributes(message: "no headers"), nil])
      expect(producer.sent.map { |fields| fields[:headers] }).to eq([{ "a" => "1" }])
    end
  end

  describe "its thread" do
    it "sleeps when nothing is under way, and goes on after an answer that raises" do
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new) do |failed, error|
        answers << [failed, error]
        raise "in the answer"
      end
      2.times do
        made.deliver(failure, "dead")
        expect(answer.last).to be_nil
      end
      wait_until("rest") { made.instance_variable_get(:@queue).num_waiting == 1 }
      expect(thread_of(made)).to be_alive
    end

    it "is replaced when it is killed, and loses and repeats nothing" do
      handles = Array.new(3) { DeadLetterHelpers::Handle.new(pending: true) }
      left = handles.dup
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new { left.shift })
      3.times do |number|
        made.deliver(failure(offset: number), "dead")
        wait_until("it to be sent") { left.size == 2 - number }
        thread = thread_of(made).kill
        wait_until("another thread") { thread_of(made) != thread && thread_of(made).alive? }
      end
      handles.each { |handle| handle.pending = false }
      expect(Array.new(3) { answer.first.message.offset }).to eq([0, 1, 2])
      made.close(1)
      expect(answers).to be_empty
    end

    it "is started by whom it is needed, also where nothing may be interrupted" do
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new)
      expect(thread_of(made)).to be_nil
      Thread.handle_interrupt(Object => :never) { made.deliver(failure, "dead") }
      expect(answer.last).to be_nil
      thread = thread_of(made).kill
      expect(thread.join(DeadLetterHelpers::LIMIT)).to eq(thread)
    end

    it "is not for a forked child" do
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new)
      output, input = IO.pipe
      pid = fork do
        made.deliver(failure, "dead")
      rescue WorkShaper::ForkedProcess => e
        input.write(e.message)
        made.close(1)
      ensure
        input.close
        exit!(0)
      end
      input.close
      expect(output.wait_readable(DeadLetterHelpers::LIMIT)).to be(output)
      expect(output.read).to include("belong to the parent")
    ensure
      Process.wait(pid)
    end
  end

  describe "closing" do
    it "answers nothing afterwards, and can be repeated" do
      handle = DeadLetterHelpers::Handle.new(pending: true)
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new { handle })
      made.deliver(failure, "dead")
      wait_until("it to be sent") { made.instance_variable_get(:@under_way).any?(&:handle) }
      expect(made.close(1).size).to eq(1) # what was not answered
      handle.pending = false
      expect { made.deliver(failure, "dead") }.to raise_error(WorkShaper::Error, /closed/)
      expect(thread_of(made)).not_to be_alive
      made.close(1)
      expect(answers).to be_empty
    end

    it "leaves all that is not answered, also when it comes while one is" do
      inside, gate = Array.new(2) { Thread::Queue.new }
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new { DeadLetterHelpers::Handle.new }) do |given, _|
        inside << given
        gate.pop
      end
      given = Array.new(3) { failure }
      given.each { |one| made.deliver(one, "dead") }
      expect(inside.pop).to be(given.first)
      closing = Thread.new { made.close(DeadLetterHelpers::LIMIT) }
      wait_until("it to be closed") { made.instance_variable_get(:@closed) }
      gate.close
      expect(closing.value).to eq(given.drop(1))
      expect(inside).to be_empty
    end

    it "waits no longer than asked to for a producer or an answer that blocks" do
      gate = Thread::Queue.new
      inside = Thread::Queue.new
      block = lambda do |*|
        inside << true
        gate.pop
      end
      blocked = [letters(producer: DeadLetterHelpers::RdkafkaLike.new(&block)),
                 letters(producer: DeadLetterHelpers::RdkafkaLike.new, &block)]
      blocked.each { |made| made.deliver(failure, "dead") }
      wait_until("both to block") { inside.size == 2 }
      expect(seconds { blocked.each { |made| made.close(0.2) } }).to be_between(0.3, 5)
      expect(answers).to be_empty
    end

    it "can be done in an answer" do
      made = letters(producer: DeadLetterHelpers::RdkafkaLike.new) do |failed, error|
        made.close(1)
        answers << [failed, error]
      end
      made.deliver(failure, "dead")
      expect(answer.last).to be_nil
      expect(thread_of(made).join(DeadLetterHelpers::LIMIT)).to be_truthy
    end

    it "is quick with a broker that is gone, and purges what is under way" do
      own = DeadLetterHelpers::Cluster.new
      topic = own.topic
      made = letters(config: { "bootstrap.servers" => own.bootstrap_servers })
      made.deliver(failure, topic)
      expect(answer.last).to be_nil
      own.down
      made.deliver(failure, topic)
      entry = wait_until("it to be sent") { made.instance_variable_get(:@under_way).find(&:handle) }
      expect(seconds { made.close(5) }).to be < 5
      expect { entry.handle.wait }.to raise_error(Rdkafka::RdkafkaError, /Purged/)
      expect(entry.client).to be_closed
      expect(answers).to be_empty
    ensure
      own.close
    end
  end
end
