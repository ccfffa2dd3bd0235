# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "The lag of a partition", kafka: :real, watchdog: 120 do
  let(:topic) { kafka_topic }
  let(:group) { kafka_group(topic) }

  # Empty before it is assigned.
  def row(member)
    member.stats.fetch(:partitions, {}).fetch(:"#{topic.name}/0", {})
  end

  # What is asked in the background comes to say so.
  def expect_row(member, **expected)
    found = nil
    await_kafka(-> { "" }, 30) { (found = row(member)) >= expected }
  rescue KafkaSpecs::MemberProcess::Failure
    expect(found).to include(expected)
  end

  # What it says over several rounds of questions.
  def looks_of_three_seconds(member)
    limit = KafkaSupport::ChildProcess.now + 3_000_000_000
    looks = []
    looks << row(member).values_at(:lag, :end) while KafkaSupport::ChildProcess.now < limit
    looks
  end

  it "is 0 behind a committed transaction and behind an aborted thousand, now and after a restart" do
    topic.transact(1, of: 50, keys: 5) { true }
    first = start_member("first", group)
    expect_row(first, lag: 0, position: 51, end: 51, last_acked: 49, committed: 50)
    topic.transact(1, of: 1_000, keys: 5) { false }
    expect_row(first, lag: 0, position: 1_052, end: 1_052, committed: 50)
    stop_members
    second = start_member("second", group)
    expect_row(second, lag: 0, position: 1_052, end: 1_052, received: 0)
    stop_members
  end

  it "does not count what is in an open transaction, which nobody may read yet" do
    topic.produce(10, keys: 5)
    member = start_member("first", group)
    expect_row(member, lag: 0, end: 10)
    producer = KafkaSupport::Producer.new(kafka.servers, transactional: true)
    producer.transaction(commit: true) do
      producer.produce(topic.name, Array.new(20) { |number| [0, "key-#{number}", "0"] })
      expect(looks_of_three_seconds(member)).to all(eq([0, 10]))
    end
    expect_row(member, lag: 0, end: 31, position: 31)
  ensure
    producer&.close
  end

  it "is what is left while messages behind a transaction are in hand" do
    topic.transact(1, of: 5, keys: 5) { true }
    member = start_member("first", group, work: { sleep_ms: 60_000 })
    expect_row(member, lag: 5, end: 6, position: 6, last_acked: nil)
    member.kill
  end

  it "is what lies in Kafka, too, while the partition is paused" do
    topic.produce(1_200, keys: 5)
    member = start_member("first", group, work: { sleep_ms: 60_000 }, concurrency: 5, max_in_flight: 100)
    expect_row(member, lag: 1_200)
    topic.produce(4_000, keys: 5)
    expect_row(member, lag: 5_200, end: 5_200)
    member.kill
  end
end
