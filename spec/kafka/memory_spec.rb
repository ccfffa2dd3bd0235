# frozen_string_literal: true

require_relative "../support/kafka/suite"

# On the same work decaton's JVM took 335 MB, Confluent's library 1.7 GB.
RSpec.describe "Memory", kafka: :real, watchdog: 150 do
  count = 1_000_000
  bytes = 100

  # Resident megabytes at each look, with how many messages were through.
  def watch(member, count)
    looks = []
    member.await("#{count} messages", 100) do |log|
      through = log.last("tally")&.words&.first.to_i
      looks << [through, member.resident]
      through >= count
    end
    looks
  end

  # What comes and goes between two looks does not count, but what stays.
  def median(looks, range)
    megabytes = looks.filter_map { |through, resident| resident if range.cover?(through) }.sort
    megabytes[megabytes.size / 2]
  end

  it "stays flat under 150 MB while a million small messages go through" do
    topic = kafka_topic
    topic.fill(count, keys: 100, bytes: bytes)
    group = kafka_group(topic)
    # librdkafka's own queue is 100,000 messages by default, more than all the rest, and is full at one time and empty
    # at another.
    member = start_member("first", group, record: 10_000, config: { "queued.min.messages": 10_000 })
    looks = watch(member, count)
    await_committed(group, topic)
    stop_members

    expect(member.log.last("tally").words.map(&:to_i)).to eq([count, count * (count - 1) / 2, count * bytes])
    expect(looks.map(&:last).max).to be < 150
    expect(median(looks, 550_000..count) - median(looks, 100_000..550_000)).to be < 10
  end
end
