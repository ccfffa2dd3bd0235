# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "back pressure" do
  let(:place) { ["orders", 0] }
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

  # Full for as long as the gate is closed.
  def full_consumer(gate, *places, **options)
    consumer = running(*places, max_in_flight: limit, concurrency: 4, **options) do |message|
      gate.pass
      done << message.offset
    end
    places.map(&:last).each { |partition| produce(1000, partition: partition) }
    eventually { consumer.stats[:in_flight] >= limit }
    consumer
  end

  def paused(consumer)
    eventually("it never paused") { consumer.stats[:paused]&.any? }
  end

  it "takes no more than there is room for, whatever there is" do
    gate = self.gate
    consumer = full_consumer(gate, place)
    expect(consumer.stats[:in_flight]).to be_between(limit, limit + 2)
    paused(consumer)
    turns(5)
    expect(consumer.stats[:in_flight]).to be <= limit + slack
  end

  it "pauses only when full has lasted for a second, and goes on polling" do
    gate = self.gate
    consumer = full_consumer(gate, place)
    began = ManagerHelpers.now
    takes = client.takes
    paused(consumer)
    expect(ManagerHelpers.now - began).to be_between(0.8, 2)
    expect(client.takes - takes).to be > 20
    expect(client.places_paused).to eq([place])
    turned_at = session_of(consumer).turned_at
    eventually { session_of(consumer).turned_at > turned_at }
    expect(consumer).to be_healthy(max_silence: 0.5)
  end

  it "never pauses while it is full for moments only" do
    running(place, max_in_flight: 10, concurrency: 2) { |message| done << message.offset }
    produce(5000)
    eventually { done.size == 5000 }
    expect(client.calls).not_to include(:pause)
    expect(in_order?(done)).to be(true)
  end

  it "loses, repeats and disorders nothing across pause and resume" do
    pause_after(0.1)
    3.times do |round|
      gate = self.gate
      consumer = full_consumer(gate, place)
      paused(consumer)
      gate.open
      eventually { client.offset_of(*place) == 1000 }
      expect(consumer.stats[:paused]).to be_empty
      expect(done.sort).to eq((0...1000).to_a), "round #{round}"
      expect(in_order?(done)).to be(true)
      stop(consumer)
      done.clear
      @client = nil
    end
  end

  it "resumes when half of the room is free, not before" do
    pause_after(0.1)
    gates = gates_by_name
    consumer = running(place, max_in_flight: 10, concurrency: 40) { |message| gates[message.offset].pass }
    produce(40)
    paused(consumer)
    taken = consumer.stats[:in_flight]
    (0..(taken - 7)).each { |offset| gates[offset].open }
    eventually { consumer.stats[:in_flight] == 6 }
    turns(3)
    expect(consumer.stats[:paused]).to eq(%w[orders/0])
    client.assign(["orders", 1])
    eventually { consumer.stats[:paused] == %w[orders/0 orders/1] }
    gates[taken - 6].open
    eventually { consumer.stats[:paused].empty? }
    gates.open
    eventually { client.offset_of(*place) == 40 }
  end

  it "resumes only what it has paused, and once" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, place)
    paused(consumer)
    turns(5)
    gate.open
    eventually { client.offset_of(*place) == 1000 }
    turns(5)
    expect(client.calls.tally).to include(pause: 1, resume: 1)
    expect(consumer.stats[:total_enqueued]).to eq(1000)
  end

  it "pauses what comes while it is full" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, place)
    paused(consumer)
    client.assign(["orders", 1])
    eventually { consumer.stats[:paused] == %w[orders/0 orders/1] }
    produce(10, partition: 1)
    turns(5)
    expect(consumer.stats[:in_flight]).to be <= limit + slack
    gate.open
    eventually { client.offset_of("orders", 1) == 10 }
  end

  it "leaves no pause behind in a partition that goes" do
    pause_after(0.1)
    gate = self.gate
    consumer = full_consumer(gate, place, ["orders", 1])
    paused(consumer)
    client.revoke(place)
    expect(consumer.stats[:paused]).to eq(%w[orders/1])
    expect(client.places_paused).to eq([["orders", 1]])
    gate.open
    eventually { client.offset_of("orders", 1) == 1000 }
    client.assign(place)
    eventually { client.offset_of(*place) == 1000 }
  end

  it "is over at once when what fills it goes" do
    pause_after(0.1)
    gates = gates_by_name
    consumer = running(place, ["orders", 1], max_in_flight: 20, concurrency: 20) do |message|
      gates["slow"].pass if message.partition.zero?
      done << message.offset
    end
    produce(1000)
    paused(consumer)
    client.revoke(place)
    client.produce("orders", 1, *Array.new(50))
    eventually { client.offset_of("orders", 1) == 50 }
    expect(consumer.stats[:paused]).to be_empty
  end

  it "with a limit of one works on one after the other" do
    at_work = most = 0
    running(place, max_in_flight: 1) do |message|
      most = [most, at_work += 1].max
      done << message.offset
      at_work -= 1
    end
    produce(200)
    eventually { client.offset_of(*place) == 200 }
    expect(in_order?(done)).to be(true)
  end

  it "holds back a slow key only when all is full" do
    gates = gates_by_name
    running(place, max_in_flight: 1000, concurrency: 3) do |message|
      gates["slow"].pass if message.key == "key-0"
      done << message.offset
    end
    produce(500)
    eventually { done.size == 450 }
    expect(client.calls).not_to include(:pause)
  end

  describe "on the mock cluster" do
    it "loses and disorders nothing across a pause, and keeps its partition" do
      topic = mock_topic
      gate = self.gate
      mock.produce(topic, Array.new(1000) { |number| [0, "key-#{number % 10}", number.to_s] })
      consumer = mock_consumer(topic, max_in_flight: limit, concurrency: 4) do |message|
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
