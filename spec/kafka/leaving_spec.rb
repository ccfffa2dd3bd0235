# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A member that leaves", :kafka, watchdog: 60 do
  # Has the client answer librdkafka only when it has left.
  def answer_late(client, assignment, asked)
    asked.define_singleton_method(:rebalance) { |change| closed? ? assignment.rebalance(change) : push(change) }
    client.define_singleton_method(:unsubscribe) do
      super()
      asked.close
      assignment.rebalance(asked.pop) until asked.empty?
    end
  end

  # With KIP-848 librdkafka 2.8 does not wait for the answer before it leaves, and never takes back what comes then.
  it "keeps nothing of an assignment that it was asked for before", kafka: :real do
    asked = Queue.new
    kept = nil
    client_class = WorkShaper::Consumer.const_get(:Client)
    allow(client_class).to receive(:new).and_wrap_original do |make, settings, assignment, *rest|
      make.call(settings, asked, *rest).tap do |client|
        answer_late(client, assignment, asked)
        client.define_singleton_method(:close) do
          kept = assigned
          super()
        end
      end
    end
    topic = kafka_topic
    config = { "bootstrap.servers": kafka.servers, "group.id": kafka_group(topic).name, "group.protocol": "consumer" }
    consumer = WorkShaper::Consumer.new(config: config, topics: topic.name, signals: false) { nil }
    running = Thread.new { consumer.run }
    await_kafka(-> { "no assignment" }) { !asked.empty? || !running.alive? }
    consumer.stop

    expect(running.value).to be(true)
    expect(kept).to eq([])
  end
end
