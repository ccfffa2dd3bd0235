# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "whose events somebody listens to" do
  let(:topic_partition) { ["orders", 0] }
  let(:place) { { group: "specs", topic: "orders", partition: 0 } }

  before { events }

  it "tells of its life: started, assigned, attempts, revoked, stopping, stopped" do
    client.produce("orders", 0, "a", "b")
    consumer = running(topic_partition, concurrency: 1) { |_message| nil }
    events_of(:attempt, 2)
    client.revoke(topic_partition)
    expect(stop(consumer)).to be(true)
    events_of(:stopped) # the last: it may come later
    expect(events.names).to eq(%i[started assigned attempt attempt committed revoked stopping stopped])
    expect(events.of(:started).first).to include(group: "specs", topics: ["orders"], concurrency: 1)
    expect(events.of(:assigned)).to eq([{ group: "specs", partitions: ["orders/0"] }])
    expect(events.of(:attempt)).to match([
                                           include(**place, offset: 0, attempt: 1, outcome: :done,
                                                            message: have_attributes(key: "a")),
                                           include(**place, offset: 1, attempt: 1, outcome: :done,
                                                            message: have_attributes(key: "b"))
                                         ])
    expect(events.of(:revoked)).to eq([{ group: "specs", partitions: ["orders/0"], dropped: 0, running: 0 }])
    expect(events.of(:stopping)).to eq([{ group: "specs", dropped: 0, waiting: 0, running: 0 }])
    expect(events.of(:stopped)).to eq([{ group: "specs", done: true, error: nil }])
  end

  it "tells what it ended with" do
    client.produce("orders", 0, "a")
    consumer = running(topic_partition, attempts: 1, give_up: :stop) { |_message| raise IOError, "disk" }
    failure = failure_of(consumer)
    expect(events_of(:stopped)).to match([{ group: "specs", done: false, error: failure }])
    expect(events.of(:failure)).to match([include(**place, offset: 0, attempt: 1, error: an_instance_of(IOError))])
    expect(events.of(:give_up)).to match([include(**place, offset: 0, attempt: 1, action: :stop)])
  end

  it "tells of a message whose sub key cannot be found" do
    client.produce("orders", 0, "a")
    skipping(topic_partition, sub_key: ->(_) { raise IOError, "no key" }) { nil }
    expect(events_of(:failure)).to match([include(**place, offset: 0, error: have_attributes(message: "no key"))])
    expect(events.of(:attempt)).to match([include(outcome: :failed)])
  end

  it "tells when it pauses for want of room, and resumes" do
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0)
    gate = self.gate
    client.produce("orders", 0, *(["a"] * 50))
    running(topic_partition, max_in_flight: 4, concurrency: 1) { gate.pass }
    expect(events_of(:paused).first).to match(group: "specs", partitions: ["orders/0"], reason: :full)
    gate.open
    expect(events_of(:resumed).first).to eq(group: "specs", partitions: ["orders/0"])
  end

  it "tells when Kafka goes and is back" do
    replace_constant(inner(:Lookout), :PERIOD, 0.02)
    replace_constant(inner(:Reachability), :PATIENCE, 0)
    running(topic_partition) { nil }
    client.queries.silent = true
    expect(events_of(:kafka_away).first).to match(group: "specs", reason: anything)
    client.queries.silent = false
    expect(events_of(:kafka_back).first).to match(group: "specs", away: a_value > 0)
  end

  describe "and who commits on a mock cluster" do
    it "tells what brokers confirmed, each offset once, as the next to read" do
      topic = mock_topic
      mock.produce_numbered(topic, 20)
      consumer = mock_consumer(topic, config: { "auto.commit.interval.ms": 100 }) { nil }
      start(consumer)
      eventually { events.of(:committed).any? { |payload| payload[:offset] == 20 } }
      stop(consumer)
      committed = events.of(:committed)
      expect(committed).to all(include(group: group, topic: topic, partition: 0))
      offsets = committed.map { |payload| payload[:offset] }
      expect(offsets).to eq(offsets.uniq.sort)
    end
  end

  describe "and whose commits are answered" do
    let(:results) { inner(:CommitResults).new(WorkShaper.const_get(:Events)::Publisher.new(group: "specs")) }

    # As librdkafka calls it: with a response for all, and one for each partition.
    def answer(code, **codes)
      rows = codes.transform_keys { |name| [name.to_s, 0] }.transform_values { 5 }
      inner(:OffsetList).with(rows) do |native|
        list = Rdkafka::Bindings::TopicPartitionList.new(native)
        codes.values.each_with_index do |response, index|
          size = Rdkafka::Bindings::TopicPartition.size
          Rdkafka::Bindings::TopicPartition.new(list[:elems] + (index * size))[:err] = response
        end
        results.call(nil, code, native, nil)
      end
    end

    it "tells of each partition that was refused, and of those that were not" do
      answer(0, orders: 0, bills: 22)
      answer(0, orders: 0, bills: 0)
      answer(27, orders: 0)
      refused = events_of(:commit_refused, 2)
      expect(refused.map { |row| [row[:topic], row[:offset], row[:error].rdkafka_response] })
        .to eq([["bills", 5, 22], ["orders", 5, 27]])
      expect(events.of(:committed)).to eq([{ group: "specs", topic: "orders", partition: 0, offset: 5 },
                                           { group: "specs", topic: "bills", partition: 0, offset: 5 }])
      expect(results.to_h).to include(confirmed: 1, refused: 2)
    end
  end
end
