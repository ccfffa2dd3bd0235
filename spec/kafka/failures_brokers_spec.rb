# frozen_string_literal: true

require_relative "../support/kafka/suite"
require_relative "../support/kafka/failing"

RSpec.describe "Brokers to which dead letters go", kafka: :cluster, watchdog: 180 do
  include KafkaSpecs::Failing

  let(:topic) { kafka_topic(partitions: 8) }
  let(:dead) { kafka_topic(partitions: 3) }
  let(:group) { kafka_group(topic).begin_at_first.watch }

  describe "of which one of three is killed while they are sent" do
    let(:kafka) { KafkaSpecs.three_brokers }
    let(:cluster) { kafka.cluster }

    it "lose none" do
      produced = topic.produce(5_000, keys: 200)
      faults = { twice_every: 20, for_ever_every: 10 }
      member = start_failing("only", sleep_ms: 50, fail: faults, config: { "session.timeout.ms": 30_000 })
      await_kafka(-> { "too few dead letters" }) { member.log.read.given_up >= 50 }
      ends = topic.high_watermarks
      cluster.kill(dead.leader(0))
      await_kafka(-> { "none wait" }) { member.stats[:dead_letters_waiting].positive? }
      cluster.up
      await_committed(group, topic, ends)
      stop_members
      checker = expect_sound(produced, samples: group.samples, complaints: true, commits_repeated: true)
      letters = expect_letters(produced, every: 10)

      expect([checker.given_up.uniq.size, letters.origins.uniq.size]).to eq([500, 500])
    end
  end

  describe "that have rules about who may write" do
    it "get them when the rights are there" do
      produced = topic.produce(400, keys: 400)
      kafka.forbid_writing(dead.name)
      member = start_failing("only")
      await_kafka(-> { "only #{member.log.finished} finished" }) { member.stats[:dead_letters_waiting] == 4 }
      expect(dead.high_watermarks.values).to all(eq(0))
      kafka.allow_writing(dead.name)
      await_committed(group, topic)
      stop_members

      expect(expect_sound(produced, samples: group.samples).repeats).to eq(0)
      expect(expect_letters(produced).repeats).to eq(0)
    end
  end
end
