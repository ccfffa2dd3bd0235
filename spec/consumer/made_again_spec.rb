# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "when a topic is made again with as many messages as it had" do
  let(:topic_partition) { ["orders", 0] }
  let(:done) { Queue.new }

  before do
    replace_constant(inner(:Lookout), :PERIOD, 0.02)
    replace_constant(inner(:Lookout), :TOPICS_PERIOD, 0)
    client.queries.ids["orders"] = "first"
  end

  def payloads
    Array.new(done.size) { done.pop }
  end

  def told
    log.entries(/made anew/)
  end

  # What they say has been heard of.
  def look
    rounds
    client.within_take { nil }
  end

  def working(count)
    consumer = running(topic_partition) { |message| done << message.payload }
    client.produce("orders", 0, *Array.new(count) { |number| "k#{number % 3}" })
    eventually { client.stored_of("orders", 0).last == count }
    look
    payloads
    consumer
  end

  it "works on all of it, and commits its offsets" do
    consumer = working(5)
    client.within_take { client.make_again("orders", 0, "second", *%w[a b a c a]) && nil }
    eventually { done.size == 5 && client.stored_of("orders", 0).last == 5 }
    expect(payloads).to contain_exactly("a:0", "b:1", "a:2", "c:3", "a:4")
    expect(told).to match([include(message: "The topic was made anew", partition: "orders/0", offset: 0, dropped: 0)])
    expect(client.stored_of("orders", 0).drop(1)).to include(0)
    look
    expect(done).to be_empty
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to eq(5)
  end

  it "fences what runs of the old one, and drops what waits" do
    gate = self.gate
    consumer = running(topic_partition, concurrency: 2) do |message|
      gate.pass if message.payload == "a:1"
      done << message.payload
    end
    client.produce("orders", 0, *%w[b a a b])
    eventually { gate.waiting == 1 && done.size == 2 }
    look
    client.within_take { client.make_again("orders", 0, "second", *%w[c c c c]) && nil }
    eventually { done.size == 6 }
    gate.open
    eventually { done.size == 7 && client.stored_of("orders", 0).last == 4 }
    expect(payloads).to contain_exactly("b:0", "b:3", "c:0", "c:1", "c:2", "c:3", "a:1")
    expect(told).to match([include(dropped: 1)])
    expect(stop(consumer)).to be(true)
  end

  it "begins once where its offsets went back, too" do
    consumer = working(5)
    client.within_take do
      client.queries.ids["orders"] = "second"
      [WorkShaper::Message.new(topic: "orders", partition: 0, offset: 0, key: "k", payload: "new")]
    end
    eventually { done.size == 1 }
    look
    expect(payloads).to eq(["new"])
    expect(told).to match([include(message: /Offsets went back/)])
    expect(client.calls).not_to include(:seek)
    expect(stop(consumer)).to be(true)
  end

  # The group keeps the offset of a topic that is deleted.
  { "before it is" => false, "after it is" => true }.each do |title, looked|
    it "works on all of it when the partition went and comes back #{title} known to be another" do
      consumer = working(3)
      client.revoke(topic_partition)
      client.within_take { client.make_again("orders", 0, "second", *%w[a b a c d]) && nil }
      look if looked
      client.assign(topic_partition)
      eventually { client.stored_of("orders", 0).last == 5 && told.any? && done.size >= 5 }
      expect(payloads.uniq).to contain_exactly("a:0", "b:1", "a:2", "c:3", "d:4")
      expect(told).to match([include(partition: "orders/0", offset: 0)])
      look
      expect(stop(consumer)).to be(true)
      expect(client.committed[topic_partition]).to eq(5)
    end
  end

  it "goes on where another member has begun to work on it" do
    consumer = working(3)
    client.revoke(topic_partition)
    client.within_take { client.make_again("orders", 0, "second", *%w[a b a c d]) && nil }
    client.committed[topic_partition] = 2
    client.assign(topic_partition)
    eventually { client.stored_of("orders", 0).last == 5 }
    look
    expect(payloads).to contain_exactly("a:2", "c:3", "d:4")
    expect(told).to be_empty
    expect(stop(consumer)).to be(true)
  end

  # It was lost before brokers could be asked for the new id, in an outage, say.
  it "goes on where it had begun itself to work on it, and was seen to" do
    consumer = working(3)
    client.revoke(topic_partition)
    client.within_take { client.make_again("orders", 0, nil, "a", "b") && nil }
    client.assign(topic_partition)
    client.within_take { client.jump(topic_partition, 0) && nil } # the offset that is committed is beyond its end
    eventually { client.stored_of("orders", 0).last == 2 }
    client.lose(topic_partition)
    client.assign(topic_partition)
    client.queries.ids["orders"] = "second"
    look
    client.produce("orders", 0, "c")
    eventually { client.stored_of("orders", 0).last == 3 }
    expect(payloads).to contain_exactly("a:0", "b:1", "c:2")
    expect(told).to match([include(message: /Offsets went back/)])
    expect(stop(consumer)).to be(true)
  end

  it "tries again when librdkafka refuses to go back" do
    consumer = working(2)
    client.seek_refusal = "Local: Erroneous state"
    client.within_take { client.make_again("orders", 0, "second", "a", "b") && nil }
    eventually { log.entries(/\AKafka\z/).any? }
    expect(done).to be_empty
    client.seek_refusal = nil
    eventually { done.size == 2 }
    expect(log.entries(/\AKafka\z/).first).to include(error: "Local: Erroneous state")
    expect(stop(consumer)).to be(true)
  end

  # Their offsets would never be committed in the new one, or worse: they would.
  it "forgets what was finished of the old one and is not confirmed" do
    consumer = running(topic_partition, ["orders", 1]) { |message| done << message.payload }
    client.produce("orders", 0, *%w[a b c])
    eventually { client.stored_of("orders", 0).last == 3 }
    look
    client.lose(topic_partition)
    expect(client.committed).not_to include(topic_partition)
    client.within_take { client.make_again("orders", 0, "second") && nil }
    eventually { told.any? }
    look
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to be_nil
  end

  # It was its own for so short a time that nobody knows the id which it had.
  it "forgets what is not confirmed of a topic that it has not seen before it was gone" do
    client.queries.wrong["orders"] = 3 # UNKNOWN_TOPIC_OR_PARTITION
    client.queries.ids.delete("orders")
    consumer = running(topic_partition, ["orders", 1]) { |message| done << message.payload }
    client.produce("orders", 0, *%w[a b c])
    eventually { client.stored_of("orders", 0).last == 3 }
    look
    client.lose(topic_partition)
    client.within_take do
      client.queries.wrong.clear
      client.make_again("orders", 0, "second") && nil
    end
    look
    expect(stop(consumer)).to be(true)
    expect(client.committed[topic_partition]).to be_nil
  end

  it "leaves topics alone that are not there, or have no id, for a while" do
    consumer = working(3)
    client.queries.ids.delete("orders")
    look
    client.queries.ids["orders"] = "first"
    look
    expect(client.calls).not_to include(:seek)
    expect(stop(consumer)).to be(true)
  end

  describe "the ids" do
    let(:ids) { inner(:TopicIds).new }

    def answer(id, since, now = since)
      ids.answered({ "orders" => id, "other" => nil }, { topic_partition => since })
      ids.made_again({ topic_partition => now })
    end

    it "are those of the partitions that were there when brokers were asked" do
      expect(answer("first", 1)).to be_empty
      expect(answer(nil, 1)).to be_empty
      expect(answer("second", 1, 3)).to eq("orders" => []) # it went, and came back
      expect(answer("second", 3)).to be_empty
      expect(answer("third", 3)).to eq("orders" => [topic_partition])
    end

    it "are those of when a partition was left where it goes on there" do
      answer("first", 1)
      ids.resumed(topic_partition => 3, ["orders", 1] => 3)
      expect(answer("second", 3)).to eq("orders" => [topic_partition])
    end

    it "are not those of before where the partition has begun anew since" do
      answer("first", 1)
      ids.forget(topic_partition)
      ids.resumed(topic_partition => 3)
      expect(answer("second", 3)).to eq("orders" => [])
    end

    it "are asked for again until the partition has begun anew" do
      expect([answer("first", 1), answer("second", 1), answer("second", 1), answer("second", 2)])
        .to eq([{}, { "orders" => [topic_partition] }, { "orders" => [topic_partition] }, {}])
    end

    it "are looked at one after the other" do
      %w[first second first].each { |id| ids.answered({ "orders" => id }, { topic_partition => 1 }) }
      expect(ids.made_again({ topic_partition => 1 })).to eq("orders" => [topic_partition])
    end
  end
end
