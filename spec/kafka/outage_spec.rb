# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "An outage of Kafka", kafka: :cluster, watchdog: 180 do
  let(:cluster) { kafka.cluster }

  def told(member)
    member.said(/Kafka (is|refused)/)
  end

  it "is seen in stats, and told in a few lines of ours, none of them librdkafka's about commits" do
    topic = kafka_topic
    topic.produce(4_000, keys: 50)
    group = kafka_group(topic)
    member = start_member("first", group, work: { sleep_ms: 20 }, concurrency: 5,
                                          config: { "session.timeout.ms": 30_000 })
    await_finished(300)
    await_kafka(-> { "no commit is known" }) { member.stats[:partitions].values.first&.fetch(:committed) }
    cluster.kill(1)
    await_kafka(-> { "the outage is not seen: #{member.stats[:kafka]}" }, 10) do
      member.stats[:kafka][:reachable] == false
    end
    away = told(member)
    row = nil
    await_kafka(-> { "nothing finished since then: #{row}" }, 6) do
      row = member.stats[:partitions].values.first
      row[:last_acked] >= row[:committed] + 50
    end
    cluster.up
    await_kafka(-> { "its end is not seen: #{member.stats[:kafka]}" }, 20) { member.stats[:kafka][:reachable] }
    await_committed(group, topic, { 0 => 4_000 })
    await_kafka(-> { "no lag of 0: #{member.stats[:partitions]}" }) do
      member.stats[:partitions].values.first&.fetch(:lag)&.zero?
    end
    numbers = member.stats[:commits]
    stop_members

    expect(away).to match([/WARN.*Kafka is away/])
    expect(told(member).grep(/is back/)).to match([/INFO.*away_sec(=>|: )\d+/])
    expect(told(member).size).to be <= 4
    expect(numbers).to include(confirmed: be_positive, last_confirmed_at: String)
    # One line, and another for what was refused after it.
    expect(told(member).grep(/refused commits/).size).to be_between(*(numbers[:refused].positive? ? [1, 2] : [0, 1]))
    expect(member.said(/Offset commit/)).to be_empty
  end
end
