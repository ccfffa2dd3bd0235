# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A topic with gaps between its offsets", kafka: :real, watchdog: 90 do
  def expect_worked_off(topic, expected)
    group = kafka_group(topic).watch
    before = topic.contents
    first = start_member("first", group, work: { sleep_ms: 1 })
    await_committed(group, topic, expected)
    stop_members
    checker = expect_sound(before - compacted_meanwhile(topic, before, first), samples: group.samples)
    expect([checker.repeats, group.committed.values]).to eq([0, expected.values])
  end

  # What the member may have missed for good reason.
  def compacted_meanwhile(topic, before, member)
    started = member.log.attempts.map { |attempt| [attempt.partition, attempt.offset] }
    (before - topic.contents).reject { |message| started.include?([message.partition, message.offset]) }
  end

  # The offset after the last message of each partition.
  def ends_of_messages(topic)
    topic.contents.group_by(&:partition).to_h { |name, messages| [name[/\d+\z/].to_i, messages.last.offset + 1] }
  end

  it "is worked through without what aborted transactions left, up to the last message" do
    topic = kafka_topic(partitions: 2)
    topic.transact(30, of: 40, keys: 20) { |number| number % 3 != 2 }

    expect(topic.contents.size).to eq(800)
    await_kafka(-> { "no end of the last transaction" }) { topic.high_watermarks.values.sum == 1_200 + (2 * 30) }
    expect_worked_off(topic, ends_of_messages(topic))
  end

  it "is worked through without what compaction took, tombstones included" do
    topic = kafka_topic(settings: { "cleanup.policy" => "compact", "segment.ms" => "50",
                                    "min.cleanable.dirty.ratio" => "0.01", "max.compaction.lag.ms" => "50" })
    produced = topic.produce(1_000, keys: 20).size
    await_kafka(-> { "nothing was compacted" }) do
      produced += topic.produce_each([*0..3].map { |key| [0, "key-#{key}", key.zero? ? nil : topic.payload] }).size
      topic.contents.size < produced - 500
    end

    expect_worked_off(topic, topic.high_watermarks)
  end
end
