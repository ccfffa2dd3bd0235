# frozen_string_literal: true

require_relative "../support/kafka/suite"

# The group keeps the offset of the old topic, and librdkafka assigns nothing anew.
RSpec.describe "A topic that is deleted and made again under a running consumer", kafka: :real do
  def make_again(topic)
    topic.delete
    await_kafka(-> { "the topic cannot be made again" }) do
      topic.create_again
      true
    rescue Rdkafka::RdkafkaError
      nil # the old one is still being deleted
    end
    await_kafka(-> { "the old topic is still there" }) { topic.high_watermarks == { 0 => 0 } }
  end

  %i[eager cooperative].each do |protocol|
    it "is worked on from its first message and committed, as if it were another (#{protocol})" do
      topic = kafka_topic
      topic.produce(500, keys: 7)
      group = kafka_group(topic)
      start_member("first", group, protocol: protocol)
      await_committed(group, topic)
      make_again(topic)
      topic.produce(100, keys: 7)
      await_committed(group, topic, { 0 => 100 })
      stop_members
      topic.produce(700, keys: 7)
      start_member("second", group, protocol: protocol)
      await_committed(group, topic, { 0 => 800 })
      stop_members

      expect(finished).to eq(1_300)
    end
  end
end
