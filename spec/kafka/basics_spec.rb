# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A consumer on Kafka", :kafka do
  it "works on every message once and commits the end of each partition" do
    topic = kafka_topic(partitions: 4)
    produced = topic.produce(2_000, keys: 100)
    group = kafka_group(topic).watch
    start_member("first", group)
    await_committed(group, topic)
    stop_members
    checker = expect_sound(produced, samples: group.samples)

    expect([checker.repeats, group.looks]).to match([0, be > 10])
    expect(group.member_count).to eq(0) if kafka.real?
  end

  it "adds the 1 to the offset once: after 0 to 9 the broker has 10" do
    topic = kafka_topic
    topic.produce(10, keys: 3)
    group = kafka_group(topic)
    start_member("first", group)
    await_committed(group, topic, { 0 => 10 })
    stop_members

    expect(group.committed).to eq("#{topic.name}/0" => 10)
  end

  it "never mixes two topics that share partition numbers" do
    topics = [kafka_topic(partitions: 2), kafka_topic(partitions: 2)]
    produced = topics.zip([300, 700]).flat_map { |topic, count| topic.produce(count, keys: 20) }
    group = kafka_group(*topics).watch
    start_member("first", group, work: { sleep_ms: 1 })
    topics.each { |topic| await_committed(group, topic) }
    stop_members

    expect(expect_sound(produced, samples: group.samples).repeats).to eq(0)
  end

  it "works on messages without a key in no particular order, and misses none" do
    topic = kafka_topic(partitions: 2)
    produced = topic.produce_each(Array.new(1_000) { |number| [number % 2, nil, topic.payload] })
    group = kafka_group(topic).watch
    start_member("first", group, work: { sleep_ms: 1 })
    await_committed(group, topic)
    stop_members

    expect(expect_sound(produced, samples: group.samples).repeats).to eq(0)
  end
end
