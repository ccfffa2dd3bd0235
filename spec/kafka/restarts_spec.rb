# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "Members of a group that are restarted one after the other", :kafka, watchdog: 150 do
  concurrency = 25
  work_ms = 20
  # auto.commit.interval.ms unless it is set
  commit_interval_ms = 100

  let(:protocol) { :cooperative }
  let(:topic) { kafka_topic(partitions: 8) }
  let(:group) { kafka_group(topic).begin_at_first }
  let!(:produced) { topic.produce(20_000, keys: 200) }

  let(:work) { { sleep_ms: work_ms } }
  let(:config) { {} }

  define_method(:start) do |name|
    start_member(name, group, work: work, concurrency: concurrency, protocol: protocol, config: config)
  end

  # A handover waits two seconds for the broker to confirm what is finished.
  def heard_in_time?
    kafka.real? && group.slowest_answer_ms < 1_500
  end

  # Each of three is ended by the block at some point in the middle, and its successor started at once.
  def restart_in_turn
    group.watch
    crew = %w[a b c].map { |name| start(name) }
    crew.dup.each_with_index do |member, index|
      await_finished(produced.size * (index + 2) / 6)
      await_balance(topic, *crew)
      await_commits(group, topic)
      yield member
      crew[index] = start("#{member.name}2")
    end
    await_committed(group, topic)
    stop_members
  end

  # What ran, and what was finished since the last commit.
  define_method(:most_repeats_of_a_kill) { concurrency * (2 + ((commit_interval_ms + 100) / work_ms)) }

  # What runs is finished before its partition goes, in the one that leaves and in those that give some away.
  { eager: true, cooperative: true, consumer: :real }.each do |protocol, need|
    context "with the #{protocol} protocol" do
      let(:protocol) { protocol }

      it "lose, reorder and repeat nothing when each gets TERM", kafka: need do
        restart_in_turn do |member|
          member.term
          expect_stopped(member)
        end
        checker = expect_sound(produced, samples: group.samples)

        expect(checker.repeats).to be <= (heard_in_time? ? 0 : most_repeats(work_ms)), -> { told(checker) }
      end
    end
  end

  # Slow ones finish within revoke_timeout, 5 s where the session lasts longer. What is finished behind them is known to
  # the next owner.
  context "when one message in 40 takes 2 s" do
    let(:work) { { sleep_ms: 10, slow: { every: 40, sleep_ms: 2_000 } } }
    let!(:produced) { topic.produce(8_000, keys: 200) }

    %i[cooperative consumer].each do |protocol|
      context "with the #{protocol} protocol" do
        let(:protocol) { protocol }

        it "repeat nothing and begin nothing that still runs when each gets TERM", kafka: :real do
          restart_in_turn do |member|
            member.term
            expect_stopped(member)
          end
          checker = expect_sound(produced, samples: group.samples)

          expect(checker.overlapping_repeats).to eq(0), -> { told(checker) }
          expect(checker.repeats).to be <= (heard_in_time? ? 0 : most_repeats(10)), -> { told(checker) }
        end
      end
    end
  end

  context "when each is killed" do
    let(:config) { quick_session }

    it "lose nothing, reorder nothing and repeat little more than what ran" do
      restart_in_turn(&:kill)
      checker = expect_sound(produced, samples: group.samples)

      expect_committed_at_revokes(checker, group, work_ms)
      expect_committed_at_kills(checker, group, work_ms, commit_interval_ms)
      expect(checker.repeats).to be <= most_repeats(work_ms) + (3 * most_repeats_of_a_kill)
    end
  end
end
