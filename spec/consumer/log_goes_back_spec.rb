# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "when the offsets of a partition go back without a rebalance" do
  let(:topic_partition) { ["orders", 0] }
  let(:done) { Queue.new }

  # Messages of a log that was made anew, which come in at the next take.
  def come_anew(*keys, from: 0)
    client.within_take do
      keys.each_with_index.map do |key, index|
        WorkShaper::Message.new(topic: "orders", partition: 0, offset: from + index, key: key, payload: "new #{index}")
      end
    end
  end

  def payloads
    Array.new(done.size) { done.pop }
  end

  it "works on all of the new log, and commits its offsets" do
    consumer = running(topic_partition) { |message| done << message.payload }
    client.produce("orders", 0, *%w[a b c a b])
    eventually { client.stored_of("orders", 0).last == 5 }
    payloads
    come_anew("a", "b", "a")
    eventually { client.stored_of("orders", 0).last == 3 }
    expect(payloads).to contain_exactly("new 0", "new 1", "new 2")
    expect(client.stored_of("orders", 0).slice_when { |first, second| second < first }.to_a.last).to start_with(0)
    expect(client.calls).to include(:rewind)
    eventually { consumer.stats[:partitions]["orders/0"][:last_acked] == 2 }
    expect(log.entries(/Offsets went back/)).to match([include(partition: "orders/0", offset: 0, dropped: 0)])
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to eq(3)
  end

  it "goes on from there when the log was only cut short" do
    consumer = running(topic_partition) { |message| done << message.payload }
    client.produce("orders", 0, *%w[a b c a b])
    eventually { client.stored_of("orders", 0).last == 5 }
    come_anew("a", "b", from: 3)
    again = -> { client.stored_of("orders", 0).slice_when { |first, second| second < first }.to_a.drop(1).flatten }
    eventually { again.call.values_at(0, -1) == [3, 5] }
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to eq(5)
  end

  it "fences what runs of the old log, drops what waits, and keeps the order of the key" do
    gate = self.gate
    consumer = running(topic_partition, concurrency: 4) do |message|
      gate.pass if message.payload == "a:1"
      done << message.payload
    end
    client.produce("orders", 0, *%w[b a a b])
    eventually { gate.waiting == 1 && done.size == 2 }
    come_anew("a", "b")
    eventually { done.size == 3 }
    expect(payloads).to contain_exactly("b:0", "b:3", "new 1")
    gate.open
    eventually { client.stored_of("orders", 0).last == 2 }
    expect(payloads).to eq(["a:1", "new 0"])
    expect(log.entries(/Offsets went back/)).to match([include(dropped: 1)])
    expect(client.stored_of("orders", 0).drop_while { |offset| offset != 0 }.max).to eq(2)
    expect(stop(consumer)).to be(true)
  end

  it "works on all of one that is shorter than what is committed when the partition comes, and commits its offsets" do
    client.committed[topic_partition] = 9
    consumer = running(topic_partition) { |message| done << message.payload }
    come_anew("a", "b", "a")
    eventually { client.stored_of("orders", 0).last == 3 }
    expect(payloads).to contain_exactly("new 0", "new 1", "new 2")
    expect(client.stored_of("orders", 0).first).to eq(0)
    expect(log.entries(/Offsets went back/)).to match([include(partition: "orders/0", offset: 0, dropped: 0)])
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to eq(3)
  end

  it "goes on without a word where a partition comes behind what is committed, or nothing is" do
    client.committed[topic_partition] = 2
    consumer = running(topic_partition, ["orders", 1]) { |message| done << [message.partition, message.offset] }
    client.produce("orders", 0, *%w[a b c d])
    client.produce("orders", 1, *%w[a b])
    eventually { client.stored_of("orders", 0).last == 4 && client.stored_of("orders", 1).last == 2 }
    expect(Array.new(done.size) { done.pop }).to contain_exactly([0, 2], [0, 3], [1, 0], [1, 1])
    expect(client.calls).not_to include(:rewind)
    expect(stop(consumer)).to be(true)
  end

  it "does so for that partition alone, in the middle of a batch" do
    consumer = running(topic_partition, ["orders", 1]) { |message| done << [message.partition, message.payload] }
    client.produce("orders", 0, "a", "a", "a")
    client.produce("orders", 1, "b", "b")
    eventually { done.size == 5 && client.stored_of("orders", 1).last == 2 && client.stored_of("orders", 0).last == 3 }
    client.within_take do
      [[1, 2], [0, 1], [1, 3], [0, 2]].map do |partition, offset|
        WorkShaper::Message.new(topic: "orders", partition: partition, offset: offset, key: "k", payload: "new")
      end
    end
    eventually { done.size == 9 && client.stored_of("orders", 1).last == 4 && client.stored_of("orders", 0).last == 3 }
    expect(log.entries(/Offsets went back/)).to match([include(partition: "orders/0", offset: 1)])
    expect(client.stored_of("orders", 1)).to eq(client.stored_of("orders", 1).sort)
    expect(stop(consumer)).to be(true)
  end
end
