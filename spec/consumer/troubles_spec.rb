# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "of whose topics or partitions nothing comes" do
  let(:topic_partition) { ["orders", 0] }
  let(:unknown_topic) { 3 }
  let(:not_allowed) { 29 }
  let(:bad_message) { -199 }

  before do
    replace_constant(inner(:Lookout), :PERIOD, 0.02)
    replace_constant(inner(:Lookout), :TOPICS_PERIOD, 0.05)
  end

  def told
    log.entries(/\A(Nothing comes in|Trouble is over|Kafka\z)/)
  end

  def troubles_of(consumer)
    consumer.stats[:troubles].transform_values { |row| row[:error] }
  end

  { 3 => :unknown_topic_or_part, 29 => :topic_authorization_failed }.each do |code, error|
    it "says once that a topic has #{error}, and once that this is over, though librdkafka says nothing" do
      consumer = running(topic_partition)
      client.queries.wrong["orders"] = code
      eventually { troubles_of(consumer) == { "orders" => error } }
      rounds(10)
      expect(told).to match([include(message: "Nothing comes in", topic: "orders", error: include(error.to_s))])
      expect(consumer.stats[:troubles]["orders"][:since]).to be_within(10).of(Time.now)
      client.queries.wrong.clear
      eventually { consumer.stats[:troubles].empty? }
      rounds(10)
      expect(told.drop(1)).to match([{ message: "Trouble is over", topic: "orders", error: error,
                                       lasted_sec: Integer }])
      expect(log.entries(/Trouble is over/, "INFO").size).to eq(1)
    end
  end

  it "is unhealthy when that lasts longer than max_age" do
    consumer = running(topic_partition)
    client.queries.wrong["orders"] = not_allowed
    eventually { consumer.stats[:troubles].any? && !consumer.healthy?(max_age: 0.1) }
    expect(consumer).to be_healthy
    client.queries.wrong.clear
    eventually { consumer.healthy?(max_age: 0.1) }
  end

  it "does not wait for commits of a topic that is gone when it stops" do
    client.produce("orders", 0, "a")
    consumer = running(topic_partition)
    eventually { client.offset_of("orders", 0) == 1 }
    client.queries.wrong["orders"] = unknown_topic
    eventually { consumer.stats[:troubles].any? }
    client.on_commit = ->(rows, _milliseconds) { rows.empty? }
    expect(stop(consumer)).to be(true)
  end

  it "takes what librdkafka says of the topic, for whichever partition, for the same" do
    replace_constant(inner(:Lookout), :TOPICS_PERIOD, 600)
    consumer = running(topic_partition)
    client.queries.wrong["orders"] = not_allowed
    client.fail_with(not_allowed, "Fetch failed", "orders", 0)
    client.fail_with(not_allowed, "Fetch failed", "orders", 1)
    client.fail_with(not_allowed, "not available", "orders")
    eventually { consumer.stats[:errors] == 3 }
    rounds
    expect(troubles_of(consumer)).to eq("orders" => :topic_authorization_failed)
    expect(told.size).to eq(1)
    client.queries.wrong.clear
    eventually { consumer.stats[:troubles].empty? }
  end

  it "asks about topics of a pattern only while they are in trouble, and may miss them" do
    consumer = running(topics: "^orders.*")
    client.queries.wrong["orders-7"] = unknown_topic
    client.fail_with(unknown_topic, "gone", "orders-7")
    client.fail_with(not_allowed, "not available", "orders-7")
    eventually { told.last&.fetch(:message) == "Trouble is over" }
    expect(told.map { |line| line[:message] }).to eq(["Kafka", "Nothing comes in", "Trouble is over"])
    expect(consumer.stats).to include(errors: 2, troubles: {})
  end

  describe "that cannot be read" do
    # As if there were five messages in the log.
    def pretend_more
      request = ConsumerHelpers::FakeQueries::Request
      client.queries.define_singleton_method(:request_offsets) do |places, offset|
        request.new(places.to_h { |place| [place, offset == -1 ? 5 : 0] })
      end
    end

    def stuck
      client.produce("orders", 0, "a")
      consumer = running(topic_partition)
      eventually { consumer.stats[:partitions]["orders/0"][:position] == 1 }
      pretend_more
      eventually { consumer.stats[:partitions]["orders/0"][:end] == 5 }
      [bad_message, -170, bad_message].each { |code| client.fail_with(code, "CRC", "orders", 0) }
      eventually { consumer.stats[:errors] == 3 }
      rounds(5)
      consumer
    end

    it "are told once, counted, and over when a message comes" do
      consumer = stuck
      expect(troubles_of(consumer)).to eq("orders/0" => :bad_msg)
      expect(told).to match([include(topic: "orders", partition: 0, error: include("bad_msg"))])
      expect(log.messages("WARN").size).to eq(1)
      client.produce("orders", 0, "b")
      eventually { told.size == 2 }
      expect(told.last).to include(message: "Trouble is over", topic: "orders", partition: 0, error: :bad_msg)
      expect(consumer.stats[:troubles]).to be_empty
    end

    it "are forgotten when the partition goes" do
      consumer = stuck
      client.revoke(topic_partition)
      expect(consumer.stats[:troubles]).to be_empty
      expect(told.size).to eq(1)
    end

    it "are over when nothing is left to read" do
      consumer = stuck
      client.queries.singleton_class.remove_method(:request_offsets)
      client.committed[topic_partition] = 1
      eventually { consumer.stats[:troubles].empty? && told.size == 2 }
      expect(told.last).to include(message: "Trouble is over")
    end
  end

  it "does not repeat what librdkafka says of no topic" do
    consumer = running(topic_partition)
    3.times { client.fail_with(-195, "1 of 1 brokers down") }
    client.fail_with(30, "the group")
    eventually { consumer.stats[:errors] == 4 && told.any? { |line| line[:error].include?("the group") } }
    expect(told.map { |line| line[:error] }).to match([/brokers down/, /the group/])
    expect(consumer.stats[:troubles]).to be_empty
  end
end
