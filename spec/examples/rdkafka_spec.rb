# frozen_string_literal: true

require "spec_helper"
require_relative "../../support/kafka/mock_cluster"

Rdkafka::Config.logger = Logger.new($stderr, level: Logger::ERROR)

# A topic on a mock cluster, and what its broker knows about it.
class TestTopic
  NAME = "orders"

  attr_reader :bootstrap_servers

  def initialize(partitions:)
    @partitions = (0...partitions).to_a
    @numbers = Hash.new(-1)
    @index = 0
    @cluster = KafkaSupport::MockCluster.new
    @cluster.create_topic(NAME, partitions: partitions)
    @bootstrap_servers = @cluster.bootstrap_servers
    @producer = Rdkafka::Config.new("bootstrap.servers": bootstrap_servers).producer
    @reader = Rdkafka::Config.new("bootstrap.servers": bootstrap_servers, "group.id": "group").consumer
  end

  # Each key's payloads are 0, 1, 2 and so on. Returns the last one of each.
  def produce(count, keys:)
    handles = Array.new(count) do
      key = "key-#{(@index * @index) % keys}"
      @index += 1
      @producer.produce(topic: NAME, key: key, payload: (@numbers[key] += 1).to_s)
    end
    handles.each(&:wait)
    @numbers.dup
  end

  # The offset with which each partition goes on.
  def high_watermarks
    @partitions.to_h { |partition| [partition, @reader.query_watermark_offsets(NAME, partition, 5_000).last] }
  end

  def committed
    list = Rdkafka::Consumer::TopicPartitionList.new
    list.add_topic(NAME, @partitions)
    @reader.committed(list, 5_000).to_h.fetch(NAME).to_h { |entry| [entry.partition, entry.offset || 0] }
  end

  def close
    [@reader, @producer, @cluster].each(&:close)
  end
end

RSpec.describe "examples/rdkafka.rb", watchdog: 120 do
  line = Struct.new(:partition, :offset, :key, :number)
  source = File.join(Program::ROOT, "examples", "rdkafka.rb")

  let(:topic) { TestTopic.new(partitions: 3) }
  let(:programs) { [] }
  let(:changed_copies) { [] }

  after do
    programs.each { |program| program.signal(:KILL) if program.running? }
    topic.close
  end

  define_method(:start) do |file: source, **env|
    env = { BOOTSTRAP_SERVERS: topic.bootstrap_servers, TOPIC: TestTopic::NAME, GROUP_ID: "group",
            LIBRDKAFKA_SESSION_TIMEOUT_MS: "2000", LIBRDKAFKA_HEARTBEAT_INTERVAL_MS: "200", **env }
    programs << Program.ruby(file, env: env.transform_keys(&:to_s))
    programs.last
  end

  # What the example's work printed, in the order in which it did; a line cut off by a kill is not one.
  define_method(:worked_on) do |*programs|
    programs.flat_map do |program|
      program.stdout.scan(/^(\d+) (\d+) (key-\d+) (\d+)\n/).map do |partition, offset, key, number|
        line.new(partition.to_i, offset.to_i, key, number.to_i)
      end
    end
  end

  def numbers_per_key(lines)
    lines.group_by(&:key).transform_values { |of_key| of_key.map(&:number) }
  end

  def expect_clean_end(program)
    expect([program.wait, program.stderr]).to eq([0, ""]), -> { program.to_s }
    expect(program.stdout).not_to match(/"level":"(ERROR|FATAL)/)
  end

  # The example with one thing changed.
  define_method(:changed) do |from, to|
    raise "the example does not hold #{from.inspect}" unless File.read(source).include?(from)

    changed_copies << Tempfile.new(["changed", ".rb"]).tap { |copy| copy.write(File.read(source).sub(from) { to }) }
    changed_copies.last.tap(&:close).path
  end

  # It hears of lost partitions only when something of them was finished and could not be stored any more. (Once: at
  # the end, when it closes, nothing runs.)
  def late_to_hear_of_lost_partitions
    changed("partitions = list",
            "sleep 0.001 until @shaper.stats[:total_refused].positive? || @shaper.stats[:in_flight].zero?; " \
            "partitions = list")
  end

  it "works on every message once, in order per key, and commits the high watermarks" do
    last_numbers = topic.produce(500, keys: 60)
    program = start

    program.wait_until("500 messages") { worked_on(program).size >= 500 }
    program.signal(:TERM)

    expect_clean_end(program)
    expect(numbers_per_key(worked_on(program))).to eq(last_numbers.transform_values { |last| (0..last).to_a })
    expect(topic.high_watermarks.values).to all(be_positive)
    expect(topic.committed).to eq(topic.high_watermarks)
  end

  %i[TERM INT].each do |signal|
    it "finishes and commits what it took when #{signal} comes half-way, so nothing is repeated" do
      last_numbers = topic.produce(4_000, keys: 60)
      first = start(WORK_SHAPER_CONCURRENCY: "4", WORK_SHAPER_MAX_IN_FLIGHT: "100")
      first.wait_until("200 messages") { worked_on(first).size >= 200 }
      first.signal(signal)

      expect_clean_end(first)
      expect(worked_on(first).size).to be < 4_000
      expect(topic.committed.values.sum).to eq(worked_on(first).size)

      second = start
      second.wait_until("the rest") { worked_on(first, second).size >= 4_000 }
      second.signal(:TERM)

      expect_clean_end(second)
      expect(numbers_per_key(worked_on(first, second))).to eq(last_numbers.transform_values { |last| (0..last).to_a })
      expect(topic.committed).to eq(topic.high_watermarks)
    end
  end

  it "loses nothing when it is killed half-way: each key goes on no later than where it was" do
    last_numbers = topic.produce(4_000, keys: 60)
    killed = start(WORK_SHAPER_CONCURRENCY: "4")
    killed.wait_until("commit") { topic.committed.values.sum.positive? }
    killed.signal(:KILL)

    expect(killed.wait).to eq(Signal.list.fetch("KILL"))
    expect(worked_on(killed).size).to be < 4_000

    second = start
    second.wait_until("commit of all") { topic.committed == topic.high_watermarks }
    second.signal(:TERM)

    expect_clean_end(second)
    first_numbers = numbers_per_key(worked_on(killed))
    second_numbers = numbers_per_key(worked_on(second))
    last_numbers.each do |key, last|
      reached = first_numbers.fetch(key, []).last || -1
      expect(first_numbers.fetch(key, [])).to eq((0..reached).to_a)
      goes_on = second_numbers.fetch(key, [last + 1]).first
      expect(goes_on).to be <= reached + 1
      expect(second_numbers.fetch(key, [])).to eq((goes_on..last).to_a)
    end
  end

  it "shares the partitions with a second consumer and loses nothing when either goes" do
    last_numbers = topic.produce(1_000, keys: 60)
    slow = { WORK_SHAPER_CONCURRENCY: "2", WORK_SHAPER_MAX_IN_QUEUE: "1000",
             LIBRDKAFKA_PARTITION_ASSIGNMENT_STRATEGY: "cooperative-sticky" }
    first = start(file: late_to_hear_of_lost_partitions, **slow)
    first.wait_until("first messages") { worked_on(first).size >= 100 }
    second = start(**slow)
    second.wait_until("messages of the second") do
      # Lest the first finish all before the second has joined.
      left = last_numbers.values.sum { |last| last + 1 } - worked_on(first, second).size
      last_numbers = topic.produce(100, keys: 60) if left < 300
      worked_on(second).size >= 100
    end
    first.signal(:TERM)
    expect_clean_end(first)
    second.wait_until("commit of all") { topic.committed == topic.high_watermarks }
    second.signal(:TERM)
    expect_clean_end(second)

    expect(first.stdout).to include("likely re-balance")
    lines = worked_on(first, second)
    numbers = numbers_per_key(lines).transform_values { |of_key| of_key.uniq.sort }
    expect(numbers).to eq(last_numbers.transform_values { |last| (0..last).to_a })
    # The first drops what waits of the partitions it loses: little is repeated.
    expect(lines.size - lines.uniq.size).to be < 200
  end

  it "goes on polling while it is full, so it keeps its partitions" do
    topic.produce(2, keys: 1)
    program = start(file: changed("sleep 0.005", "sleep(message.offset.zero? ? 7 : 0.005)"),
                    WORK_SHAPER_MAX_IN_FLIGHT: "1", LIBRDKAFKA_MAX_POLL_INTERVAL_MS: "5000")
    program.wait_until("both messages") { worked_on(program).size >= 2 }
    program.signal(:TERM)

    expect_clean_end(program)
    expect(worked_on(program).map(&:number)).to eq([0, 1])
    expect(program.stdout).not_to include("Error from Kafka")
    expect(topic.committed).to eq(topic.high_watermarks)
  end

  it "gives up work that outlasts SHUTDOWN_TIMEOUT, for Kafka to deliver again" do
    topic.produce(4, keys: 4)
    program = start(file: changed("sleep 0.005", 'puts "started"; sleep 60'), SHUTDOWN_TIMEOUT: "0.5")
    program.wait_until("work") { program.stdout.include?("started") }
    program.signal(:TERM)

    expect([program.wait, program.stderr]).to eq([1, ""]), -> { program.to_s }
    expect(topic.committed.values).to eq([0, 0, 0])
  end
end
