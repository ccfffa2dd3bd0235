# frozen_string_literal: true

require_relative "../support/kafka/suite"

# 10 ms of I/O on 100 workers. Confluent's library worked on 14,800 of these messages twice, decaton on 8,100.
RSpec.describe "A member that is killed after half of 30,000 messages", :kafka do
  # On an idle machine; else what 100 workers do until the commit comes is added.
  def expect_repeats(checker, group, limit)
    expect(checker.repeats).to be_between(1, limit + (100 * late_ms(checker, group, 10) / 10))
  end

  [[100, {}, 1_300], [20, { "auto.commit.interval.ms": 20 }, 400]].each do |interval, config, limit|
    it "leaves at most #{limit} to repeat when what is stored is sent every #{interval} ms" do
      topic = kafka_topic
      produced = topic.produce(30_000, keys: 100)
      group = kafka_group(topic).watch
      config = quick_session.merge(config)
      start = ->(name) { start_member(name, group, work: { sleep_ms: 10 }, concurrency: 100, config: config) }
      first = start.call("first")
      await_finished(15_000)
      first.kill
      start.call("second")
      await_committed(group, topic)
      stop_members
      checker = expect_sound(produced, samples: group.samples)

      expect(first.log.finished).to be_between(15_000, 29_900)
      expect_committed_at_kills(checker, group, 10, interval)
      expect_repeats(checker, group, limit)
    end
  end

  # The first message hangs. Everything beyond it that is finished was repeated, up to 10,000 messages, and then all
  # stopped. In a commit interval of 100 ms, and as long until that is committed, each of 100 workers does 20.
  { "100 keys" => [:produce, 30_000], "100 keys after Zipf" => [:produce_skewed, 6_000] }.each do |what, (way, count)|
    it "leaves what ran and what came in a commit interval to repeat while one message hangs, with #{what}" do
      topic = kafka_topic
      produced = topic.public_send(way, count, keys: 100)
      group = kafka_group(topic).watch
      start = lambda do |name, **work|
        start_member(name, group, work: { sleep_ms: 10, **work }, concurrency: 100, config: quick_session)
      end
      first = start.call("first", hang: 0)
      await_finished(count / 2)
      await_kafka(-> { "no commit" }) { first.stats[:commits][:confirmed].positive? } # not in its first second
      first.kill
      start.call("second")
      await_committed(group, topic)
      stop_members
      checker = expect_sound(produced, samples: group.samples)

      expect_repeats(checker, group, 100 + (100 * 20))
    end
  end
end
