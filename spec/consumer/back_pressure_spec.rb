# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "back pressure" do
  let(:topic_partition) { ["orders", 0] }
  let(:limit) { 100 }
  # back_pressure.rb: one message every FULL_WAIT until PAUSE_AFTER; and a turn or two.
  let(:slack) { 55 }
  let(:done) { [] }

  def pause_after(seconds)
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, seconds)
  end

  def produce(count, partition: 0)
    client.produce("orders", partition, *Array.new(count) { |number| "key-#{number % 10}" })
  end

  def in_order?(offsets)
    offsets.group_by { |offset| offset % 10 }.values.all? { |of_key| of_key == of_key.sort }
  end

  # Full for as long as the gate is closed. (Two messages a worker come in at once: as many as the limit.)
  def full_consumer(gate, *topic_partitions, **options)
    consumer = running(*topic_partitions, max_in_flight: limit, concurrency: limit / 2, **options) do |message|
      gate.pass
      done << message.offset
    end
    topic_partitions.map(&:last).each { |partition| produce(1000, partition: partition) }
    eventually { consumer.stats[:in_flight] >= limit }
    consumer
  end

  def paused(consumer)
    eventually("it never paused") { consumer.stats[:paused]&.any? }
  end

  it "takes no more than there is room for, whatever there is" do
    gate = self.gate
    taken = 0
    faults = []
    client.on_take = lambda do |messages|
      faults << [messages.size, taken] if messages.size > [limit - taken, 1].max
      taken += messages.size
    end
    consumer = full_consumer(gate, topic_partition)
    paused(consumer)
    expect(faults).to be_empty
    turns(5)
    expect(consumer.stats[:in_flight]).to be <= limit + slack
  end

  it "pauses only when it has been full for a second, and keeps polling" do
    gate = self.gate
    taken = []
    client.on_take = ->(messages) { messages.each { taken << ManagerHelpers.now } }
    consumer = full_consumer(gate, topic_partition)
    paused(consumer)
    expect(ManagerHelpers.now - taken[limit - 1]).to be >= 1
    expect(taken.size).to be_between(limit, limit + slack)
    expect(client.paused_partitions).to eq([topic_partition])
    turned_at = poll_loop_of(consumer).turned_at
    eventually { poll_loop_of(consumer).turned_at > turned_at }
    expect(consumer).to be_healthy(max_silence: 5)
  end

  it "goes on with single messages while it is full" do
    pause_after(600)
    consumer = full_consumer(gate, topic_partition)
    eventually { consumer.stats[:in_flight] >= limit + 5 }
    expect(client.calls).not_to include(:pause)
  end

  it "never pauses while it is full for moments only" do
    pause_after(5)
    running(topic_partition, max_in_flight: 10, concurrency: 2) { |message| done << message.offset }
    produce(5000)
    eventually { done.size == 5000 }
    expect(client.calls).not_to include(:pause)
    expect(in_order?(done)).to be(true)
  end

  it "loses, repeats and disorders nothing across pause and resume" do
    pause_after(0.1)
    3.times do |round|
      gate = self.gate
      consumer = full_consumer(gate, topic_partition)
      paused(consumer)
      gate.open
      eventually { client.offset_of(*topic_partition) == 1000 }
      eventually { consumer.stats[:paused].empty? }
      expect(done.sort).to eq((0...1000).to_a), "round #{round}"
      expect(in_order?(done)).to be(true)
      stop(consumer)
      done.clear
      @client = nil
    end
  end

  it "resumes when a quarter of the room is free, not before" do
    pause_after(0.1)
    gates = gates_by_name
    consumer = running(topic_partition, max_in_flight: 10, concurrency: 40) { |message| gates[message.offset].pass }
    produce(40)
    paused(consumer)
    taken = consumer.stats[:in_flight]
    (0...(taken - 9)).each { |offset| gates[offset].open }
    eventually { consumer.stats[:in_flight] == 9 }
    turns(3)
    expect(consumer.stats[:paused]).to eq(%w[orders/0])
    client.assign(["orders", 1])
    eventually { consumer.stats[:paused].sort == %w[orders/0 orders/1] }
    expect(client.calls).not_to include(:resume)
    gates[taken - 9].open
    eventually { client.calls.include?(:resume) }
    gates.open
    eventually { client.offset_of(*topic_partition) == 40 }
  end

  it "resumes only what it has paused, and once" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, topic_partition)
    paused(consumer)
    turns(5)
    pause_after(600)
    gate.open
    eventually { client.offset_of(*topic_partition) == 1000 }
    turns(5)
    expect(client.calls.tally).to include(pause: 1, resume: 1)
    expect(consumer.stats[:total_enqueued]).to eq(1000)
  end

  it "pauses what comes while it is full" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, topic_partition)
    paused(consumer)
    client.assign(["orders", 1])
    eventually { consumer.stats[:paused].sort == %w[orders/0 orders/1] }
    produce(10, partition: 1)
    turns(5)
    expect(consumer.stats[:in_flight]).to be <= limit + slack
    gate.open
    eventually { client.offset_of("orders", 1) == 10 }
  end

  it "leaves no pause behind in a partition that goes" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, topic_partition, ["orders", 1])
    paused(consumer)
    client.revoke(topic_partition)
    # (Whether the other is still paused is a matter of the next turn of the loop: what went made room.)
    expect(consumer.stats[:paused]).not_to include("orders/0")
    expect(client.paused_partitions).not_to include(topic_partition)
    gate.open
    eventually { client.offset_of("orders", 1) == 1000 }
    client.assign(topic_partition)
    eventually { client.offset_of(*topic_partition) == 1000 }
  end

  it "has a partition whose position went on with an error go on where it is to" do
    gate = self.gate
    consumer = full_consumer(gate, topic_partition)
    client.within_take { client.queries.went_astray(topic_partition, 700) }
    paused(consumer)
    gate.open
    eventually { done.size == 1000 }
    expect(done).to match_array(0...1000)
    expect(log.entries(/went back/)).to be_empty
  end

  it "has it go on where the group is when nothing of it was fed yet" do
    gate = self.gate
    client.committed[["orders", 1]] = 10
    consumer = full_consumer(gate, topic_partition)
    client.within_take do
      client.assign_now(["orders", 1])
      client.queries.went_astray(["orders", 1], 15)
    end
    eventually { consumer.stats[:paused].size == 2 }
    client.within_take { client.produce("orders", 1, *Array.new(20, "k")) && nil }
    gate.open
    eventually { done.size == 1010 }
    expect(done.tally.select { |_, times| times == 2 }.keys).to match_array(10...20)
  end

  describe "after an error that moved a position" do
    # librdkafka goes on elsewhere, and the messages are those that come from there.
    def go_astray(position)
      client.within_take do
        client.queries.went_astray(topic_partition, position)
        client.jump(topic_partition, position)
      end
    end

    [2, 7].each do |position|
      it "has the partition go on where it is to, when messages come from offset #{position} in place of 5" do
        running(topic_partition) { |message| done << message.offset }
        produce(5)
        eventually { client.offset_of(*topic_partition) == 5 }
        go_astray(position)
        produce(5)
        eventually { client.offset_of(*topic_partition) == 10 }
        expect(done).to match_array(0...10)
        expect(client.calls.count(:seek)).to eq(1)
      end
    end

    it "works on messages that came with the error, and before it" do
      running(topic_partition) { |message| done << message.offset }
      client.on_take = lambda do |messages|
        client.queries.went_astray(topic_partition, 3) if messages.any? { |message| message.offset.zero? }
      end
      produce(5)
      eventually { client.offset_of(*topic_partition) == 5 }
      expect(done).to match_array(0...5)
    end
  end

  it "is over at once when what fills it goes" do
    pause_after(0.1)
    gates = gates_by_name
    consumer = running(topic_partition, ["orders", 1], max_in_flight: 20, concurrency: 20) do |message|
      gates["slow"].pass if message.partition.zero?
      done << message.offset
    end
    produce(1000)
    paused(consumer)
    client.revoke(topic_partition)
    client.produce("orders", 1, *Array.new(50))
    eventually { client.offset_of("orders", 1) == 50 }
    expect(consumer.stats[:paused]).to be_empty
  end

  it "with a limit of one works on one after the other" do
    sizes = []
    client.on_take = ->(messages) { sizes << messages.size }
    running(topic_partition, max_in_flight: 1) { |message| done << message.offset }
    produce(200)
    eventually { client.offset_of(*topic_partition) == 200 }
    expect(in_order?(done)).to be(true)
    expect(sizes).to all(eq(1))
  end

  it "holds back a slow key only when all is full" do
    gates = gates_by_name
    running(topic_partition, max_in_flight: 1000, concurrency: 3) do |message|
      gates["slow"].pass if message.key == "key-0"
      done << message.offset
    end
    produce(500)
    eventually { done.size == 450 }
    expect(client.calls).not_to include(:pause)
  end

  describe "by the size of a batch" do
    let(:pressure) { inner(:BackPressure).new(pool, in_flight_limit, client, assignment, nil) }
    let(:pool) do
      instance_double(inner(:Pool), held?: false, unfinished: 0, bytes: 0, bytes_left: 1, max_bytes: 1, loads: nil)
    end
    let(:in_flight_limit) do
      instance_double(inner(:InFlightLimit), beside: 10_000, most: 10_000, least: 50, await_room: 5000, full_for: 0,
                                             make_way: nil)
    end
    let(:assignment) { instance_double(inner(:Assignment), on_revoked: nil, partitions: {}) }

    # The allowances up to the largest.
    def grown
      Array.new(12) { pressure.allowance.tap { |count| pressure.fed(count, 0.01) } }
    end

    # In a consumer that runs: how many messages the takes brought.
    def sizes(**options, &sub_key)
      found = []
      client.on_take = ->(messages) { found << messages.size }
      running(topic_partition, sub_key: sub_key, **options)
      found
    end

    it "asks for twice as many after each that was full and quick, up to a thousand" do
      expect(grown).to eq([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000])
    end

    it "asks for as many as there is room for" do
      grown
      allow(in_flight_limit).to receive(:await_room).and_return(17)
      expect(pressure.allowance).to eq(17)
    end

    it "asks for no more after one that was not full" do
      4.times { pressure.fed(pressure.allowance, 0) }
      pressure.fed(15, 0)
      expect(pressure.allowance).to eq(16)
    end

    it "asks for as many as it could have fed within ten milliseconds, but at least for one" do
      grown
      pressure.fed(500, 0.1)
      expect(pressure.allowance).to eq(50)
      pressure.fed(50, 0.02)
      expect(pressure.allowance).to eq(25)
      pressure.fed(25, 1)
      expect(pressure.allowance).to eq(1)
      expect(grown.first(3)).to eq([1, 2, 4])
    end

    it "keeps polling with a sub_key that is slow" do
      found = sizes do |message|
        sleep(0.006)
        message.key
      end
      produce(100)
      eventually { client.offset_of(*topic_partition) == 100 }
      expect(found.max).to be <= 2
      expect(found.sum).to eq(100)
    end

    it "takes a thousand at a time with a quick one" do
      found = sizes(concurrency: 5000, &:partition)
      eventually(-> { "never took more than #{found.max} at once" }) do
        produce(3000) if client.end_offset(*topic_partition) == found.sum
        found.max.to_i >= 1000
      end
      expect(found.max).to eq(1000)
    end
  end

  describe "on the mock cluster" do
    it "loses and disorders nothing across a pause, and keeps its partition" do
      topic = mock_topic
      gate = self.gate
      mock.produce(topic, Array.new(1000) { |number| [0, "key-#{number % 10}", number.to_s] })
      consumer = mock_consumer(topic, max_in_flight: limit, concurrency: limit / 2) do |message|
        gate.pass
        done << message.offset
      end
      start(consumer)
      paused(consumer)
      expect(consumer.stats[:in_flight]).to be_between(limit, limit + slack)
      gate.open
      eventually { consumer.stats[:total_acked] == 1000 }
      expect(done.sort).to eq((0...1000).to_a)
      expect(in_order?(done)).to be(true)
      expect(consumer.stats).to include(total_enqueued: 1000, errors: 0, paused: [])
      expect(log.entries(/Assigned/).size).to eq(1)
    end
  end
end
