# frozen_string_literal: true

require_relative "../support/kafka/suite"
require_relative "../support/kafka/failing"

# 5% fail twice, 1% for ever.
RSpec.describe "20,000 messages of which some fail", :kafka, watchdog: 120 do
  include KafkaSpecs::Failing

  let(:topic) { kafka_topic(partitions: 8) }
  let(:dead) { kafka_topic(partitions: 3) }
  let(:group) { kafka_group(topic).begin_at_first }
  let!(:produced) { topic.produce(20_000, keys: 200) }

  before { group.watch }

  def expect_all_done(produced = self.produced)
    await_committed(group, topic)
    stop_members
    [expect_sound(produced, samples: group.samples), expect_letters(produced)]
  end

  it "are worked on or dead letters, each once; order per key, a hole for each that is given up" do
    member = start_failing("only")
    await_committed(group, topic)
    stats = member.stats
    checker, letters = expect_all_done

    expect(stats).to include(total_retried: (1_000 * 2) + (200 * 2), total_dead_lettered: 200, total_skipped: 0,
                             retrying: 0, dead_letters_waiting: 0)
    expect([checker.repeats, checker.retries, checker.repeated_finishes, letters.repeats]).to eq([0, 2_400, 0, 0])
    expect(checker.given_up.sort).to eq(letters.origins.sort)
  end

  it "are so at least once when the member is killed in the middle" do
    first = start_failing("first", sleep_ms: 10, config: quick_session)
    await_finished(10_000)
    first.kill
    start_failing("second")
    checker, letters = expect_all_done

    expect(first.log.finished).to be_between(10_000, 19_000)
    expect(checker.repeats).to be_between(1, 10_000) # max_in_flight
    expect(letters.origins).to include(*checker.given_up)
    expect(letters.repeats).to be < 100
  end

  it "are so at least once when members are restarted one after the other, and one is killed" do
    start = ->(name) { start_failing(name, sleep_ms: 30, config: quick_session) }
    crew = %w[a b c].map(&start)
    crew.dup.each_with_index do |member, index|
      await_finished(produced.size * (index + 1) / 8)
      await_balance(topic, *crew)
      await_commits(group, topic)
      member.term
      expect_stopped(member)
      crew[index] = start.call("#{member.name}2")
    end
    await_balance(topic, *crew)
    # Those before them may have done all there was.
    done = crew.first.log.read.finished
    more = topic.produce(5_000, keys: 200)
    await_kafka(-> { "it works on nothing" }) { crew.first.log.read.finished > done }
    killed = crew.first.tap(&:kill)
    checker, letters = expect_all_done(produced + more)

    expect(killed.log.finished).to be_between(1, 10_000)
    expect(letters.origins).to include(*checker.given_up)
    expect(checker.repeats).to be_between(1, 10_000)
    expect(letters.repeats).to be < 100
  end
end
