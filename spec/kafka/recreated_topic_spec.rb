# frozen_string_literal: true

require_relative "../support/kafka/suite"

# The group keeps the offset of the old topic, and librdkafka assigns nothing anew.
RSpec.describe "A topic that is deleted and made again under a running consumer", kafka: :real do
  def make_again(topic)
    topic.delete
    create_again(topic)
  end

  def await_worked_on(produced, member)
    await_kafka(-> { "not all of the new topic is worked on" }) do
      (produced.map(&:id) - member.log.read.attempts.select(&:ended).map(&:id)).empty?
    end
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

  # The member sleeps meanwhile, so librdkafka finds the new topic as long as the old one was, or longer, and goes on in
  # the middle of it. (It must have seen before that the topic is gone: docs/consumer.md.)
  { eager: 500, cooperative: 600 }.each do |protocol, count|
    it "is worked on from its first message when it has #{count} at once, as the old one had 500 (#{protocol})" do
      topic = kafka_topic
      topic.produce(500, keys: 7)
      group = kafka_group(topic)
      member = start_member("first", group, protocol: protocol, config: { "session.timeout.ms": 20_000 })
      await_committed(group, topic)
      await_kafka(-> { "nobody has looked out" }) do
        member.stats[:partitions].values.first&.slice(:committed, :end) == { committed: 500, end: 500 }
      end
      topic.delete
      await_kafka(-> { "the member does not see that the topic is gone" }) { member.said(/Nothing comes in/).any? }
      member.pause
      create_again(topic)
      produced = topic.produce(count, keys: 7)
      member.resume
      await_worked_on(produced, member)
      await_committed(group, topic, { 0 => count })
      stop_members

      expect(member.said(/The topic was made anew/).size).to eq(1)
    end
  end

  # The member gives the partition back while the topic is gone, and gets it again where it had left it.
  it "is worked on from its first message when it has more at once than the old one had (cooperative)" do
    topic = kafka_topic
    topic.produce(500, keys: 7)
    group = kafka_group(topic, kafka_topic)
    member = start_member("first", group, config: { "session.timeout.ms": 20_000,
                                                    "topic.metadata.refresh.interval.ms": 1_000 })
    await_committed(group, topic)
    await_kafka(-> { "nobody has looked out" }) do
      member.stats[:partitions][:"#{topic.name}/0"]&.slice(:committed, :end) == { committed: 500, end: 500 }
    end
    topic.delete
    await_kafka(-> { "the member has not given the partition back" }) { member.log.read.last("revoked") }
    member.pause
    create_again(topic)
    produced = topic.produce(600, keys: 7)
    member.resume
    await_worked_on(produced, member)
    await_committed(group, topic, { 0 => 600 })
    stop_members

    expect(member.said(/The topic was made anew/).size).to eq(1)
  end

  # Since a broker was started again the leader epoch of the topic is not 0, as it is of a new one. The topic comes back
  # while the partition is handed over, so librdkafka keeps what it knows of it. (The member tries to connect more often
  # than by itself: else its session may be over before it does, and it would lose the partition.)
  it "is worked on though librdkafka takes all that brokers say of its leader for out of date", kafka: :cluster do
    topic = kafka_topic
    topic.produce(50, keys: 7)
    group = kafka_group(topic, kafka_topic)
    member = start_member("first", group, protocol: :consumer, work: { hang: 100 }, revoke_timeout: 40,
                                          config: { "topic.metadata.refresh.interval.ms": 1_000,
                                                    "statistics.interval.ms": 100, "reconnect.backoff.max.ms": 200 })
    await_committed(group, topic)
    kafka.cluster.kill(1)
    kafka.cluster.up
    topic.produce(60, keys: 7)
    await_kafka(-> { "the one that hangs has not begun" }) { member.log.read.attempts.map(&:id).include?(100) }
    await_committed(group, topic, { 0 => 100 }) # it still belongs to the group
    unseen = -> { member.log.read.last("unseen")&.words == ["#{topic.name}/0"] }
    topic.delete
    await_kafka(-> { "the member does not see that the topic is gone" }, &unseen)
    create_again(topic)
    await_kafka(-> { "the member does not see that the topic is back" }) { !unseen.call }
    member.release
    produced = topic.produce(90, keys: 7)
    await_worked_on(produced, member)
    await_committed(group, topic, { 0 => 90 })
    stop_members

    expect(member.said(/joins again/).size).to eq(1) # else nothing was out of date
  end
end
