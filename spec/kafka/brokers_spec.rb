# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A broker that is killed and comes back", kafka: :cluster, watchdog: 180 do
  let(:kafka) { KafkaSpecs.three_brokers }
  let(:cluster) { kafka.cluster }

  # The broker that coordinates the group.
  def coordinator(group)
    state = cluster.tool("consumer-groups", "--describe", "--state", "--group", group.name)
    state[/ 127\.0\.0\.1:\d+ +\((\d)\)/, 1] || raise("no coordinator in #{state}")
  end

  # As long as the broker takes to come back, and then some.
  config = { "session.timeout.ms": 30_000 }

  it "costs no message, even if it coordinates the group" do
    topic = kafka_topic(partitions: 8)
    produced = topic.produce(20_000, keys: 200)
    group = kafka_group(topic).begin_at_first.watch
    members = %w[a b].map { |name| start_member(name, group, work: { sleep_ms: 20 }, config: config) }
    await_balance(topic, *members)
    ends = topic.high_watermarks
    cluster.kill(coordinator(group))
    cluster.up
    await_committed(group, topic, ends)
    stop_members
    checker = expect_sound(produced, samples: group.samples, complaints: true, commits_repeated: true)

    expect(group.committed.values).to eq(ends.values)
    expect(checker.repeats).to be <= most_repeats(20)
  end
end
