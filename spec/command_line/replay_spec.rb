# frozen_string_literal: true

require "zlib"

# On librdkafka's mock cluster, whose partitioner is consistent_random. What it takes a real Kafka for is in
# spec/command_line/offsets_spec.rb.
RSpec.describe "work_shaper replay", watchdog: 120 do
  let(:dead) { a_topic(2) }
  let(:orders) { a_topic(3) }
  let(:group) { "work_shaper-replay-#{dead}" }

  def mock
    ConsumerHelpers::MockCluster.shared
  end

  def a_topic(partitions)
    "topic-#{ConsumerHelpers::MockCluster.unique}".tap { |name| mock.create_topic(name, partitions: partitions) }
  end

  def partition_of(key, count = 3)
    Zlib.crc32(key) % count
  end

  # A dead letter of the topic, as a consumer sends it.
  def letter(key, payload, error: "IOError", origin: orders, partition: partition_of(key.to_s), **headers)
    said = { "topic" => origin, "partition" => partition.to_s, "exception.class" => error, "offset" => "7" }
    ours = said.compact.transform_keys { |name| "__dlq.errors.#{name}" }
    [partition % 2, key, payload, { **ours, "__dlq.else" => "x", **headers.transform_keys(&:to_s) }]
  end

  # Numbered, of some keys in turn.
  def letters(count, keys: 10, errors: ["IOError"])
    Array.new(count) { |number| letter("k#{number % keys}", number.to_s, error: errors[number % errors.size]) }
  end

  # The mock cluster takes a second less than a session for a rebalance.
  def config
    file("quick", "session.timeout.ms=1200\nheartbeat.interval.ms=100\n")
  end

  def replay(*arguments)
    work_shaper("replay", dead, "--config", config, *arguments, servers: mock.bootstrap_servers)
  end

  def read(topic, partitions)
    reader = KafkaSupport::Reader.new(mock.bootstrap_servers, topic, partitions)
    reader.messages
  ensure
    reader&.close
  end

  def payloads(topic = orders, partitions = 3)
    read(topic, partitions).map(&:payload)
  end

  def numbers
    payloads.map(&:to_i).sort
  end

  before { require_relative "../../support/kafka/reader" }

  it "sends each letter once to where it came from, a key in order in the partition that is its own" do
    mock.produce(dead, letters(200))
    called = replay

    expect(called.stdout).to match(/\Ato  .*\n#{orders}  IOError  +200\n200 letters sent\n\z/)
    expect([called.status, called.stderr]).to eq([0, ""])
    sent = read(orders, 3)
    expect(sent.map { |message| message.payload.to_i }.sort).to eq((0...200).to_a)
    sent.group_by(&:key).each do |key, of_key|
      expect(of_key.map(&:partition).uniq).to eq([partition_of(key)])
      expect(of_key.map { |message| message.payload.to_i }).to eq(of_key.map { |message| message.payload.to_i }.sort)
    end
    expect(replay).to have_attributes(status: 0, stdout: "0 letters sent\n")
    mock.produce(dead, [letter("k1", "200")])
    expect(replay.stdout).to end_with("\n1 letter sent\n")
    expect(numbers).to eq((0..200).to_a)
  end

  it "keeps what the message was, without what was said of its failure, and gives it the time of now" do
    mock.produce(dead, [letter("a", nil, trace: "t", many: %w[x y]), letter(nil, "0\x00\xFF".b), letter("", "empty")])
    began = Time.now - 1
    expect(replay.status).to eq(0)
    sent = read(orders, 3)

    expect(sent.map { |message| [message.key, message.payload] })
      .to contain_exactly(["a", nil], [nil, "0\x00\xFF".b], ["", "empty"])
    expect(sent.map(&:headers)).to contain_exactly({ "trace" => "t", "many" => %w[x y] }, {}, {})
    expect(sent.map(&:timestamp)).to all(be > began)
  end

  it "sends those of a class alone, and later the others, none of them twice" do
    mock.produce(dead, letters(300, errors: %w[IOError KeyError Some::Error]))
    some = replay("--class", "Some::Error")
    expect(some.stdout).to match(/Some::Error +100\n100 letters sent, 200 of other classes\n\z/)
    expect(numbers).to eq((0...300).select { |number| number % 3 == 2 })
    expect(replay("--class", "IOError").stdout).to include("100 letters sent, 100 of other classes")
    expect(replay.stdout).to match(/KeyError +100\n100 letters sent, \d+ sent by a replay before\n\z/)
    expect(numbers).to eq((0...300).to_a)
  end

  it "sends nothing in a dry run, and remembers nothing of it" do
    mock.produce(dead, letters(20, errors: %w[IOError KeyError]))
    2.times do
      expect(replay("--dry-run").stdout)
        .to match(/^#{orders}  (IO|Key)Error +10\n#{orders}  (IO|Key)Error +10\n20 letters to be sent\n\z/)
    end
    expect(payloads).to eq([])
    expect(replay.stdout).to include("20 letters sent")
  end

  it "sends all to another topic, by their keys, whatever they say of where they came from" do
    mock.produce(dead, letters(20) + [letter("k1", "20", origin: nil, partition: 0)])
    other = a_topic(4)

    expect(replay("--to", other).stdout).to match(/^#{other}  IOError +21\n21 letters sent\n\z/)
    read(other, 4).each { |message| expect(message.partition).to eq(partition_of(message.key, 4)) }
    expect(payloads).to eq([])
  end

  it "leaves letters that say nothing of where they came from, or of a topic that is gone, for --to" do
    lost = { "a" => nil, "b" => "../..\e[2J\0", "c" => "", "d" => "x" * 5_000 }
    odd = lost.each_with_index.map { |(key, origin), index| letter(key, (4 + index).to_s, origin: origin) }
    mock.produce(dead, letters(4) + odd)
    called = replay

    expect(called.status).to eq(1)
    expect(called.stdout).to include("4 letters sent\n", "2 letters left: nothing says where they came from",
                                     '1 letter left: they came from ../..\e[2J\x00, which does not exist')
    expect(replay("--to", orders).stdout).to include("4 letters sent")
    expect(numbers).to eq((0..7).to_a)
    expect(replay.stdout).to eq("0 letters sent\n")
  end

  it "does not guess when another partitioner has written the topic: it says which, before anything is sent" do
    murmur = { "k0" => 2, "k1" => 2, "k2" => 0, "k3" => 1, "k4" => 1 } # as Java clients have it, of three
    mock.produce(dead, murmur.map { |key, partition| letter(key, key, partition: partition) })
    called = replay

    expect([called.status, called.stdout]).to eq([1, "0 letters sent\n"])
    expect(called.stderr).to match(/was in partition \d of #{orders}, and consistent_random would put it into \d/)
    expect(called.stderr).to match(/murmur2_random fits all of them. Say which: --partitioner murmur2_random$/)
    expect(replay("--partitioner", "murmur2_random").stdout).to include("5 letters sent")
    expect(read(orders, 3).to_h { |message| [message.key, message.partition] }).to eq(murmur)
  end

  it "does as it is told where partitions were added" do
    mock.produce(dead, [letter("a", "0", partition: 0), letter("a", "1", partition: 2)])
    expect(replay.stderr).to include("or partitions were added to it. Say which: --partitioner NAME")
    expect(replay("--partitioner", "consistent_random").stdout).to include("2 letters sent")
    expect(read(orders, 3).to_h { |message| [message.key, message.partition] })
      .to eq("a" => partition_of("a"))
  end

  it "holds up the key of a letter that a broker refuses, and no other, and says so" do
    mock.produce(dead, [letter("a", "0"), letter("a", "1"), letter("b", "2")])
    mock.refuse(:produce, 10) # too large: of the first one that comes
    called = replay
    mock.forgive(:produce)

    expect(called.status).to eq(1)
    expect(called.stderr).to match(%r{^work_shaper: #{dead}/\d:\d could not be sent to #{orders}: .*too large})
    refused = called.stderr[/could not be sent/] && numbers
    expect(refused).to eq([2]).or eq([0, 1])
    expect(replay.status).to eq(0)
    expect(numbers).to eq([0, 1, 2])
  end

  it "says that the topic is not there, or none to send to" do
    missing = work_shaper("replay", "no-such-topic", servers: mock.bootstrap_servers)
    expect(missing).to have_attributes(status: 1, stderr: /topic "no-such-topic" does not exist at /)
    expect(replay("--to", "no-such-topic").stderr).to include('topic "no-such-topic" does not exist')
    expect(work_shaper("replay", "a b\e[2J", servers: mock.bootstrap_servers).status).to eq(1)
  end

  describe "when it ends before its time" do
    let(:count) { 12_000 }

    def replaying
      program("replay", dead, "--config", config, "--brokers", mock.bootstrap_servers, limit: 60).tap do |running|
        running.wait_until("the first letters") { mock.committed(group, dead, partitions: 2).values.any? }
      end
    end

    it "sends 500 at most again after a kill -9" do
      mock.produce(dead, letters(count, keys: 40))
      running = replaying
      running.signal(:KILL)
      running.wait
      again = replay
      sent = numbers

      expect(again.status).to eq(0), -> { again.inspect }
      expect(sent.uniq).to eq((0...count).to_a)
      expect(sent.size - count).to be_between(0, 500)
      expect(again.stdout[/(\S+) letters sent/, 1].delete(",").to_i).to be > 0
    end

    it "stops on TERM with what was sent committed, and sends nothing again" do
      mock.produce(dead, letters(count, keys: 40))
      running = replaying
      running.signal(:TERM)
      status = running.wait
      first = running.stdout[/(\S+) letters sent/, 1].delete(",").to_i

      expect([status, running.stdout]).to match([143, /stopped by TERM; call it again for the rest\n\z/])
      expect(payloads.size).to eq(first)
      expect(first).to be_between(1, count - 1)
      expect(replay.stdout).to match(/^#{(count - first).to_s.gsub(/(?<=\d)(?=\d{3}\z)/, ",")} letters sent$/)
      expect(numbers).to eq((0...count).to_a)
    end
  end
end
