# frozen_string_literal: true

require "spec_helper"
require "json"
require_relative "../../support/kafka/mock_cluster"

RSpec.describe "examples/ordered_saves.rb", watchdog: 120 do
  messages = 10_000
  tick = 0.2 # seconds between commits here
  slack = 3  # seconds that a commit may take on a busy machine

  let(:cluster) { KafkaSupport::MockCluster.new.tap { |made| made.create_topic("orders", partitions: 2) } }
  let(:reader) { Rdkafka::Config.new("bootstrap.servers": cluster.bootstrap_servers, "group.id": "saves").consumer }
  let(:programs) { [] }

  after do
    programs.each(&:close)
    [reader, cluster].each(&:close)
  end

  # In partition 1; each payload says its offset.
  def produce(payloads)
    producer = Rdkafka::Config.new("bootstrap.servers": cluster.bootstrap_servers).producer
    payloads.map { |payload| producer.produce(topic: "orders", partition: 1, payload: payload) }.each(&:wait)
    producer.close
  end

  def orders(numbers)
    numbers.map { |number| JSON.generate(number: number) }
  end

  define_method(:start) do
    env = { BOOTSTRAP_SERVERS: cluster.bootstrap_servers, TOPIC: "orders", PARTITION: "1", GROUP_ID: "saves",
            LIBRDKAFKA_AUTO_COMMIT_INTERVAL_MS: (tick * 1_000).to_i.to_s }
    programs << Program.ruby(File.join(Program::ROOT, "examples", "ordered_saves.rb"), env: env.transform_keys(&:to_s))
    programs.last
  end

  # Offsets in the order in which they were saved; a line cut off by a kill is not one.
  def saved(program)
    rows = program.stdout.scan(/^(\d+) (\d+)\n/).map { |row| row.map(&:to_i) }
    rows.each { |offset, number| expect(number).to eq(offset) }
    rows.map(&:first)
  end

  def committed
    list = Rdkafka::Consumer::TopicPartitionList.new
    list.add_topic("orders", [1])
    reader.committed(list, 5_000).to_h.fetch("orders").first.offset.to_i
  end

  # How many were saved that many seconds before the last look.
  def saved_before(looks, seconds)
    looks.reverse_each.find { |time, _| time < looks.last.first - seconds }&.last || 0
  end

  def expect_clean_end(program)
    expect([program.wait, program.stderr]).to eq([0, ""]), -> { program.to_s }
    expect(program.stdout).not_to match(/"level":"(ERROR|FATAL)/)
  end

  it "loses nothing when it is killed, and saves nothing twice but what the last tick did not commit" do
    produce(orders(0...messages))
    killed = start
    looks = []
    killed.wait_until("commits, for longer than one may take") do
      looks << [Process.clock_gettime(Process::CLOCK_MONOTONIC), saved(killed).size]
      saved_before(looks, tick + slack).positive?
    end
    killed.signal(:KILL)
    expect(killed.wait).to eq(Signal.list.fetch("KILL"))

    first = saved(killed)
    reached = committed
    expect(first).to eq([*0...first.size])
    expect(first.size).to be < messages
    expect(reached).to be_between(saved_before(looks, tick + slack), first.size)

    second = start
    second.wait_until("the last") { saved(second).last == messages - 1 }
    second.signal(:TERM)
    expect_clean_end(second)
    expect(saved(second)).to eq([*reached...messages])
    expect(committed).to eq(messages)
  end

  it "saves what it has taken when it is told to end, and repeats nothing" do
    produce(orders(0...5_000))
    first = start
    first.wait_until("200 saves") { saved(first).size >= 200 }
    first.signal(:INT)
    expect_clean_end(first)
    half_way = saved(first).size
    expect(half_way).to be < 5_000
    expect(committed).to eq(half_way)

    second = start
    second.wait_until("the last") { saved(second).last == 4_999 }
    second.signal(:TERM)
    expect_clean_end(second)
    expect(saved(first) + saved(second)).to eq([*0...5_000])
  end

  it "saves a message that comes alone, without waiting for the next" do
    program = start
    3.times do |number|
      produce(orders([number]))
      program.wait_until("its save") { saved(program) == [*0..number] }
    end
    program.signal(:TERM)
    expect_clean_end(program)
  end

  it "ends at a message that cannot be parsed, with all before it saved and committed" do
    produce(orders(0...50) + ["{"] + orders(51...100))
    program = start

    expect(program.wait).to eq(1)
    expect(program.stderr).to include("JSON::ParserError")
    expect([saved(program), committed]).to eq([[*0...50], 50])
  end
end
