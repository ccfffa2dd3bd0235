# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

# On the mock cluster: what a client of one's own cannot show.
RSpec.describe WorkShaper::Consumer, "in a group" do
  let(:done) { [] }
  let(:keys) { Array.new(8) { |number| "key-#{number}" } }

  def assigned(consumer, count)
    eventually(-> { "#{consumer.stats[:assignment]} assigned, not #{count}" }) do
      consumer.stats[:assignment]&.size == count
    end
  end

  def produce(topic, count, partitions: 4)
    mock.produce(topic, Array.new(count) do |number|
      [number % partitions, "#{keys[number % keys.size]}-#{number % partitions}", number.to_s]
    end)
  end

  # To be waited for before a rebalance: the mock cluster refuses commits in it (a real broker only puts them off).
  def committed(topic, offset)
    eventually { mock.committed(group, topic, partitions: 4).values == [offset] * 4 }
  end

  # Seconds, while the block is called.
  def longest_turn(consumer)
    ended = false
    watcher = in_thread do
      longest = 0
      until ended
        longest = [longest, poll_loop_of(consumer).silence].max
        sleep ManagerHelpers::POLL_SEC
      end
      longest
    end
    yield
    ended = true
    value_of(watcher)
  end

  # Of each key, the first time that each message was worked on is in order.
  def expect_order(done)
    of_keys = done.uniq.group_by { |message| message[0] }
    expect(of_keys.values.map { |rows| rows.map(&:last) }).to all(satisfy { |offsets| offsets == offsets.sort })
  end

  %w[cooperative-sticky range].each do |strategy|
    it "shares partitions and gives them back (#{strategy}): nothing is lost, and little is repeated" do
      topic = mock_topic(partitions: 4)
      config = { "partition.assignment.strategy": strategy }
      make = lambda do
        mock_consumer(topic, config: config, concurrency: 8) do |message|
          done << [message.key, message.partition, message.offset]
        end
      end
      produce(topic, 400)
      first = make.call
      start(first)
      committed(topic, 100)
      second = make.call
      start(second)
      assigned(second, 2)
      produce(topic, 400)
      committed(topic, 200)
      expect(stop(first)).to be(true)
      assigned(second, 4)
      produce(topic, 400)
      committed(topic, 300)
      expect(stop(second)).to be(true)
      expect(done.uniq.size).to eq(1200)
      expect(done.size - 1200).to be <= 32
      expect_order(done)
    end
  end

  it "keeps its partitions while work takes three times max.poll.interval.ms" do
    topic = mock_topic
    interval = 2.5
    mock.produce_numbered(topic, 30, keys: keys)
    config = { "session.timeout.ms": 2500, "max.poll.interval.ms": (interval * 1000).to_i }
    gate = self.gate
    consumer = mock_consumer(topic, config: config, concurrency: 2, max_in_flight: 5) do |message|
      gate.pass
      done << message.offset
    end
    start(consumer)
    eventually { gate.waiting == 2 }
    limit = ManagerHelpers.now + (3 * interval)
    eventually { ManagerHelpers.now > limit }
    gate.open
    eventually { done.size == 30 }
    expect(stop(consumer)).to be(true)
    expect(log.entries(/Revoked/).size).to eq(1) # by its stop
    expect(consumer.stats[:errors]).to eq(0)
    expect(mock.committed(group, topic)).to eq(0 => 30)
  end

  it "comes back to it after the poll loop hung for longer than max.poll.interval.ms" do
    topic = mock_topic
    config = { "session.timeout.ms": 800, "max.poll.interval.ms": 800 }
    mock.produce_numbered(topic, 10, keys: keys)
    gate = self.gate
    sub_key = ->(message) { (message.offset == 5 && gate.pass) || message.key }
    consumer = mock_consumer(topic, config: config, sub_key: sub_key) { |message| done << message.offset }
    start(consumer)
    eventually { gate.waiting == 1 }
    hangs_since = poll_loop_of(consumer).turned_at
    eventually { ManagerHelpers.now - hangs_since > 1.8 }
    expect(consumer).not_to be_healthy(max_silence: 1.5)
    gate.open
    eventually { mock.committed(group, topic) == { 0 => 10 } }
    expect(consumer.stats[:errors]).to be >= 1
    expect(log.entries(/Revoked/)).not_to be_empty
    expect(stop(consumer)).to be(true)
    expect(done.uniq.sort).to eq((0...10).to_a)
  end

  it "answers a rebalance while all is full and paused, and leaves no pause behind" do
    topic = mock_topic(partitions: 2)
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0.1)
    gate = self.gate
    first = mock_consumer(topic, concurrency: 2, max_in_flight: 10) do |message|
      gate.pass
      done << [message.partition, message.offset]
    end
    start(first)
    assigned(first, 2)
    produce(topic, 4, partitions: 2) # whichever partition stays, something of it is in flight
    eventually { first.stats[:in_flight] == 4 }
    produce(topic, 96, partitions: 2)
    eventually { first.stats[:paused].size == 2 && gate.waiting == 2 }
    second = mock_consumer(topic, concurrency: 2, max_in_flight: 10) { gate.pass }
    # The rebalance alone may take 100 ms; full and paused, the loop must not wait for what runs, which goes on.
    expect(longest_turn(first) { start(second) && assigned(second, 1) }).to be < 4.5 # revoke_timeout is longer
    expect(first.stats[:paused] - first.stats[:assignment]).to be_empty
    2.times { second.stop }
    value_of(thread_of(second))
    assigned(first, 2)
    gate.open
    eventually { done.uniq.size == 100 }
    expect(stop(first)).to be(true)
    expect(mock.committed(group, topic, partitions: 2)).to eq(0 => 50, 1 => 50)
  end

  it "calls the listener of an Rdkafka::Config" do
    topic = mock_topic(partitions: 2)
    heard = Thread::Queue.new
    listener = Object.new
    %i[on_partitions_assigned on_partitions_revoked].each do |event|
      listener.define_singleton_method(event) { |list| heard << [event, list.to_h.transform_values(&:size)] }
    end
    config = Rdkafka::Config.new(mock_config(group)).tap { |made| made.consumer_rebalance_listener = listener }
    consumer = made_consumer(config: config, topics: topic)
    start(consumer)
    assigned(consumer, 2)
    expect(stop(consumer)).to be(true)
    expect(Array.new(heard.size) { heard.pop }).to eq([[:on_partitions_assigned, { topic => 2 }],
                                                       [:on_partitions_revoked, { topic => 2 }]])
  end

  it "takes none of Kafka's own topics by pattern" do
    name = "own-#{ConsumerHelpers::MockCluster.unique}"
    ["#{name}-a", "__#{name}-b"].each do |topic|
      mock.create_topic(topic, partitions: 1)
      mock.produce_numbered(topic, 1)
    end
    consumer = mock_consumer("^.*#{name}-.*")
    start(consumer)
    eventually { consumer.stats[:total_acked] == 1 }
    expect(consumer.stats[:assignment]).to eq(["#{name}-a/0"])
    expect(stop(consumer)).to be(true)
  end

  it "takes topics by pattern" do
    prefix = "pattern-#{ConsumerHelpers::MockCluster.unique}"
    names = Array.new(2) { |number| "#{prefix}-#{number}".tap { |name| mock.create_topic(name, partitions: 1) } }
    names.each { |name| mock.produce_numbered(name, 3) }
    consumer = mock_consumer("^#{prefix}-.*") { |message| done << message.topic }
    start(consumer)
    eventually { done.tally == names.to_h { |name| [name, 3] } }
    expect(stop(consumer)).to be(true)
  end
end
