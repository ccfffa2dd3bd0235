# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A group that grows and shrinks", :kafka, watchdog: 90 do
  { eager: true, cooperative: true, consumer: :real }.each do |protocol, need|
    it "loses and reorders nothing with the #{protocol} protocol", kafka: need do
      topic = kafka_topic(partitions: 8)
      produced = topic.produce(6_000, keys: 200)
      group = kafka_group(topic).begin_at_first.watch
      start = ->(name) { start_member(name, group, work: { sleep_ms: 20 }, protocol: protocol) }
      one = start.call("one")
      await_finished(500)
      two, three = %w[two three].map(&start)
      await_balance(topic, one, two, three)
      one.term
      expect_stopped(one)
      await_balance(topic, two, three)
      await_committed(group, topic)
      stop_members
      checker = expect_sound(produced, samples: group.samples)

      expect_committed_at_revokes(checker, group, 20)
      expect(checker.repeats).to be <= most_repeats(20, losses: members.sum { |member| member.log.tenures.size })
    end
  end
end
