# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A member that is silent", :kafka, watchdog: 90 do
  it "loses its partitions while it is stopped, and fits in again when it continues" do
    topic = kafka_topic(partitions: 4)
    produced = topic.produce(20_000, keys: 200)
    group = kafka_group(topic).begin_at_first.watch
    silent = start_member("silent", group, work: { sleep_ms: 20 }, config: quick_session)
    other = start_member("other", group, work: { sleep_ms: 20 })
    await_balance(topic, silent, other)
    await_finished(3_000)
    await_commits(group, topic)
    silent.pause
    other.await_assignment(4)
    taken_over = KafkaSupport::ChildProcess.now
    await_kafka(-> { "nothing finished of what was taken over" }) do
      other.log.read.attempts.any? { |attempt| attempt.ended && attempt.started > taken_over }
    end
    silent.resume
    await_balance(topic, silent, other)
    await_committed(group, topic)
    stop_members
    checker = expect_sound(produced, samples: group.samples, zombies: ["silent"])

    # Of two revokes and a pause: what ran, what was finished since the last commit, and all once more after the pause.
    late = late_ms(checker, group, 20)
    expect_committed_at_revokes(checker, group, 20)
    expect_lag(checker, :paused, (kafka.real? ? 200 : 3 * most_lag_ms) + late)
    expect(checker.repeats).to be <= most_repeats(20) + 500 + (25 * late / 20)
  end

  it "keeps its partitions through work of three times max.poll.interval.ms, full as it is" do
    topic = kafka_topic(partitions: 2)
    topic.produce(50, keys: 10)
    group = kafka_group(topic)
    limit = session_ms
    busy = start_member("busy", group, work: { sleep_ms: 3 * limit }, concurrency: 4, max_in_flight: 4,
                                       config: { "session.timeout.ms": limit, "max.poll.interval.ms": limit })
    await_finished(4, 30 + (3 * limit / 1_000))
    await_kafka(-> { "#{group.committed} committed\n#{busy}" }) do
      group.committed.values.sum(&:to_i) >= 4 && busy.log.read.attempts.size >= 8
    end

    expect(busy.log.events.map(&:kind)).to eq(%w[running assigned])
    expect(busy.log.attempts.uniq { |attempt| [attempt.partition, attempt.offset] }.size).to eq(8)
  end
end
