# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "what it says of each partition" do
  let(:topic_partition) { ["orders", 0] }

  before { replace_constant(inner(:Lookout), :PERIOD, 0.02) }

  def row(consumer, name = "orders/0")
    consumer.stats[:partitions][name]
  end

  # What is taken is not let in before the gate opens.
  def running_behind_a_gate(*topic_partitions)
    gate = self.gate
    running(*topic_partitions, sub_key: ->(_message) { gate.pass }).tap { eventually { gate.waiting == 1 } }
  end

  it "is there before anything came: where it is, what is committed, where it ends, what is left" do
    client.produce("orders", 0, *Array.new(7, &:to_s))
    client.committed[topic_partition] = 5
    consumer = running_behind_a_gate(topic_partition, ["orders", 1])
    eventually { row(consumer, "orders/1")[:lag] }
    expect(row(consumer)).to eq(last_acked: nil, received: 0, waiting: 0, running: 0, finished_beyond: 0,
                                oldest_unfinished: nil, oldest_sub_key: nil, oldest_age_sec: nil, oldest_attempt: nil,
                                oldest_worker: nil, position: 5, committed: 5, end: 7, lag: 2, repeated_if_killed: 0)
    expect(row(consumer, "orders/1")).to include(position: 0, committed: nil, end: 0, lag: 0)
  end

  it "has no lag after a restart with nothing to do" do
    client.produce("orders", 0, *Array.new(7, &:to_s))
    client.committed[topic_partition] = 7
    consumer = running(topic_partition)
    eventually { row(consumer)[:end] }
    expect(row(consumer)).to include(position: 7, committed: 7, end: 7, lag: 0)
  end

  it "counts from the first message that is there when the group has committed nothing" do
    client.produce("orders", 0, *Array.new(7, &:to_s))
    client.queries.beginning = 4
    consumer = running_behind_a_gate(topic_partition)
    eventually { row(consumer)[:lag] }
    expect(row(consumer)).to include(position: 4, committed: nil, end: 7, lag: 3)
  end

  it "has no lag for what was deleted before it was taken" do
    client.produce("orders", 0, *Array.new(7, &:to_s))
    client.committed[topic_partition] = 3
    client.queries.beginning = 7
    consumer = running_behind_a_gate(topic_partition)
    eventually { row(consumer)[:position] == 7 && row(consumer)[:lag]&.zero? }
    expect(row(consumer)).to include(position: 7, committed: 3, end: 7, lag: 0)
  end

  it "is not known before Kafka has answered" do
    client.queries.silent = true
    gate = self.gate
    consumer = running(topic_partition) { gate.pass }
    client.produce("orders", 0, "a")
    eventually { row(consumer)[:received] == 1 }
    expect(row(consumer)).to include(position: 1, committed: nil, end: nil, lag: nil)
  end

  it "grows while the partitions are paused" do
    gate = self.gate
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0)
    consumer = running(topic_partition, max_in_flight: 5, concurrency: 1) { gate.pass }
    client.produce("orders", 0, *Array.new(20, &:to_s))
    eventually { consumer.stats[:paused] == ["orders/0"] && row(consumer)[:lag] == 20 }
    client.produce("orders", 0, *Array.new(30, &:to_s))
    eventually { row(consumer)[:lag] == 50 }
    expect(row(consumer)[:position]).to be < 20
    gate.open
    eventually { row(consumer)[:lag].zero? }
  end

  it "has no lag for what librdkafka skips behind the last message" do
    client.queries.skipped = 1000
    gate = self.gate
    consumer = running(topic_partition) { gate.pass }
    client.produce("orders", 0, "a", "b", "a")
    eventually { row(consumer)[:position] == 1003 }
    expect(row(consumer)).to include(end: 1003, lag: 3)
    gate.open
    eventually { row(consumer)[:lag].zero? }
    expect(row(consumer)).to include(last_acked: 2)
  end

  it "does not take what was taken and not let in yet for finished" do
    client.committed[topic_partition] = 0
    client.produce("orders", 0, *Array.new(9, &:to_s))
    consumer = running_behind_a_gate(topic_partition)
    rounds
    lags = Array.new(20) { row(consumer)[:lag] }
    expect(lags).to all(eq(9))
  end

  it "forgets where a partition was when it comes back" do
    client.produce("orders", 0, *Array.new(9, &:to_s))
    gate = self.gate
    blocked = false
    consumer = running(topic_partition, sub_key: ->(_message) { gate.pass if blocked })
    eventually { row(consumer)[:lag]&.zero? }
    rounds
    replace_constant(inner(:Lookout), :PERIOD, 60)
    turns
    blocked = true
    client.revoke(topic_partition)
    client.committed[topic_partition] = 3
    client.assign(topic_partition)
    eventually { gate.waiting == 1 && row(consumer)[:committed] == 3 && row(consumer)[:lag] }
    expect(row(consumer)).to include(received: 0, position: 3, lag: 6)
  end

  it "is asked at once when partitions come" do
    replace_constant(inner(:Lookout), :PERIOD, 60)
    client.produce("orders", 0, "a")
    consumer = running(topic_partition)
    eventually { row(consumer)[:end] == 1 }
    client.assign(["orders", 1])
    eventually { row(consumer, "orders/1")&.fetch(:lag) }
    expect(row(consumer, "orders/1")).to include(end: 0, lag: 0)
  end

  it "says what the broker has confirmed, not what was stored" do
    consumer = running(topic_partition)
    client.produce("orders", 0, "a", "b")
    eventually { client.offset_of(*topic_partition) == 2 && row(consumer)[:last_acked] == 1 }
    rounds
    expect(row(consumer)).to include(last_acked: 1, committed: nil, lag: 0)
    client.committed[topic_partition] = 2
    eventually { row(consumer)[:committed] == 2 }
  end
end
