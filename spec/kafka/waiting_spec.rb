# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A member that the group keeps waiting for one that was killed", watchdog: 120 do
  waiting = /Waiting for/

  it "says so once, and goes on (the classic protocol)", kafka: :real do
    topic = kafka_topic
    produced = topic.produce(100, keys: 3)
    group = kafka_group(topic)
    config = { "session.timeout.ms": 15_000 } # it says so after 5 s
    killed = start_member("killed", group, work: { sleep_ms: 50 }, config: config)
    killed.await("work") { |log| log.finished.positive? }
    killed.kill
    successor = start_member("successor", group, config: config)
    await_committed(group, topic)
    stop_members(successor)

    expect_sound(produced)
    expect(successor.said(waiting)).to match([/group to give partitions/])
  end

  # The session of a static member is the broker's business there.
  describe "under the same group.instance.id, with KIP-848" do
    it "tries again, says so once, and goes on", kafka: :cluster do
      topic = kafka_topic
      produced = topic.produce(100, keys: 3)
      group = kafka_group(topic)
      config = { "group.instance.id": "pod-1" }
      killed = start_member("killed", group, protocol: :consumer, work: { sleep_ms: 50 }, config: config)
      killed.await("work") { |log| log.finished.positive? }
      successor = start_member("successor", group, protocol: :consumer, config: config)
      successor.await("its start") { |log| log.last("running") } # it is refused as long as the other lives, too
      killed.kill
      await_committed(group, topic)
      stop_members(successor)

      expect_sound(produced, complaints: true) # librdkafka's own at each refusal
      expect(successor.said(waiting)).to match([/last session of this instance/])
    end
  end
end
