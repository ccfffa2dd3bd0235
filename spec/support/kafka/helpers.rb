# frozen_string_literal: true

require "tmpdir"
require_relative "checker"
require_relative "group"
require_relative "member_process"
require_relative "../../../support/kafka/topic"

module KafkaSpecs
  # What the examples tagged :kafka share. Whatever they start is ended after the example.
  module Helpers
    PROTOCOLS = {
      eager: { "partition.assignment.strategy": "range" },
      cooperative: { "partition.assignment.strategy": "cooperative-sticky" },
      consumer: { "group.protocol": "consumer" }
    }.freeze
    HEARTBEAT_MS = 100
    # A member that gets no processor for a session is put out, and what it has finished since is repeated. (The mock
    # cluster rebalances for as long as a session.)
    LONG_SESSION_MS = 10_000
    # From here on an assignment that is brought by KIP-848 is incremental.
    INCREMENTAL_SINCE = Gem::Version.new("2.15")
    SHOWN_VIOLATIONS = 20
    PATIENCE_SEC = 40
    POLL_SEC = 0.02

    def kafka
      KafkaSpecs.broker
    end

    def kafka_topic(partitions: 1, settings: {})
      kept(KafkaSupport::Topic.new(kafka, partitions: partitions, settings: settings))
    end

    # `topics`: those whose committed offsets are looked at.
    def kafka_group(*topics)
      name = kafka.group("specs-#{Process.pid}-#{rand(36**6).to_s(36)}")
      kept(Group.new(kafka.servers, name, topics.to_h { |topic| [topic.name, topic.partitions] }))
    end

    # Starts a member of the group. `config` goes to librdkafka, what is not named here to WorkShaper::Consumer.
    def start_member(name, group, work: {}, record: "each", protocol: :cooperative, config: {}, limit: 120, **consumer)
      config = member_config(group, protocol).merge(config)
      options = { consumer: { config: config, topics: group.topics.keys, **consumer }, work: work, record: record }
      whole = protocol == :consumer && librdkafka_version < INCREMENTAL_SINCE
      member = MemberProcess.new(name, kafka_directory, options, limit: limit, whole_assignments: whole)
      members << member
      member
    end

    # Makes a topic that was deleted once more, and waits until it is there in place of the old one.
    def create_again(topic, seconds = PATIENCE_SEC)
      await_kafka(-> { "the topic cannot be made again" }, seconds) do
        topic.create_again
        true
      rescue Rdkafka::RdkafkaError
        nil # the old one is still being deleted
      end
      await_kafka(-> { "the old topic is still there" }, seconds) { topic.high_watermarks.values.all?(&:zero?) }
    end

    # All that were started, in the order of their start.
    def members
      @members ||= []
    end

    # How many pieces of work came to their end, repeated ones included.
    def finished
      members.sum { |member| member.log.read.finished }
    end

    def await_finished(count, seconds = PATIENCE_SEC)
      await_kafka(-> { "only #{finished} of #{count} finished" }, seconds) { finished >= count }
    end

    # Until the committed offset of every partition is the end of its log, or what is expected instead.
    def await_committed(group, topic, expected = topic.high_watermarks, seconds: PATIENCE_SEC)
      expected = expected.transform_keys { |partition| "#{topic.name}/#{partition}" }
      committed = nil
      await_kafka(-> { "#{committed} committed, not #{expected}" }, seconds) do
        (committed = group.committed.slice(*expected.keys)) == expected
      end
    end

    # Until all that are given have partitions, every partition of the topic in all.
    def await_balance(topic, *among, seconds: PATIENCE_SEC)
      await_kafka(-> { "unbalanced: #{among.to_h { |member| [member.name, member.log.assignment] }}" }, seconds) do
        held = among.map { |member| member.log.read.assignment }
        held.all?(&:any?) && held.sum(&:size) == topic.partitions
      end
    end

    # Until something more is committed of every partition that is not at its end: a rebalance holds commits up.
    def await_commits(group, topic)
      before = group.committed
      ends = topic.high_watermarks.transform_keys { |partition| "#{topic.name}/#{partition}" }
      await_kafka(-> { "no commits beyond #{before}" }) do
        group.committed.all? { |partition, offset| offset == ends[partition] || offset.to_i > before[partition].to_i }
      end
    end

    # Waits for a condition; not longer than until a member breaks off that nobody asked to end.
    def await_kafka(reason, seconds = PATIENCE_SEC)
      deadline = KafkaSupport::ChildProcess.now + (seconds * 1_000_000_000)
      until (value = yield)
        why = "waited #{seconds} s" if KafkaSupport::ChildProcess.now > deadline
        why ||= members.find(&:broken_off?)&.then { |member| "#{member.name} ended" }
        raise MemberProcess::Failure, "#{reason.call} (#{why})\n#{members.join("\n")}" if why

        sleep POLL_SEC
      end
      value
    end

    # TERM for all that run; each has to come to its end in order.
    def stop_members(*which)
      which = members.select(&:running?) if which.empty?
      which.each(&:term)
      expect_stopped(*which)
    end

    # All come to their end with everything that ran finished and committed. (The mock cluster takes no commits while a
    # group rebalances; a consumer that stops then says so.)
    def expect_stopped(*which)
      results = which.map(&:wait)
      expect(results).to all(be(true)), -> { which.join("\n") } if kafka.real?
    end

    # Reads all logs and fails with what is wrong. Returns the checker for what can be counted. `complaints`: whether
    # members may have logged errors; the other keywords are those of Checker.
    def expect_sound(produced, complaints: false, **known)
      checker = Checker.new(produced: produced, logs: members.map { |member| member.log.read }, **known)
      found = checker.violations
      shown = found.first(SHOWN_VIOLATIONS)
      expect(shown).to be_empty, -> { "#{found.size} violations:\n#{shown.join("\n")}\n#{members.join("\n")}" }
      expect(members.flat_map(&:complaints)).to be_empty unless complaints
      checker
    end

    # What was repeated, and what the members went through.
    def told(checker)
      ["#{checker.repeats} repeated, #{checker.overlapping_repeats} of them while they ran", *checker.repeats_by_place,
       *members].join("\n")
    end

    # How often a member lost partitions.
    def revokes
      members.sum { |member| member.log.events.count { |event| event.kind == "revoke" && event.words.any? } }
    end

    def librdkafka_version
      Gem::Version.new(Rdkafka::LIBRDKAFKA_VERSION)
    end

    # As short as the broker has it, but not shorter than what a busy machine needs: a broker may stand still for more
    # than two seconds. (The mock cluster does not, and rebalances for as long as a session.)
    def session_ms
      [kafka.real? ? 5_000 : 2_000, kafka.shortest_session_ms].max
    end

    # For those that are killed: so long the others wait for them.
    def quick_session
      { "session.timeout.ms": session_ms }
    end

    # The longest that what is finished may stay uncommitted up to a revoke: a tick, and what a busy machine needs. The
    # mock cluster takes no commits while a group rebalances, and waits a second less than the session for its members.
    def most_lag_ms
      kafka.real? ? 50 : session_ms - 500
    end

    # What was finished was committed at the revokes. On a busy machine the acknowledger and the polling thread may each
    # come as late as the slowest piece of work did; the second puts down the end of an assignment. Who has heard
    # nothing of the broker for a session has lost its partitions, and has committed nothing for as long.
    def expect_committed_at_revokes(checker, group, work_ms)
      most = most_lag_ms + (2 * checker.overrun_ms(work_ms))
      expect_lag(checker, :revoked, most)
      expect_lag(checker, :lost, most + (2 * group.slowest_answer_ms))
    end

    # The same at kills: commits come at intervals, and need a broker that answers, on the same machine.
    def expect_committed_at_kills(checker, group, work_ms, commit_interval_ms)
      most = commit_interval_ms + (kafka.real? ? 100 : most_lag_ms) + late_ms(checker, group, work_ms)
      expect_lag(checker, :died, most)
    end

    # Commits were not later than that, where partitions went for that cause.
    def expect_lag(checker, cause, most)
      lag = checker.lag_ms(cause)
      expect(lag).to be < most, lambda {
        latest = checker.handovers(cause).max_by(3, &:lag).map(&:to_h)
        ["#{lag} ms late with commits (#{cause}), not less than #{most} ms", *latest, *members].join("\n")
      }
    end

    # How much later a commit comes on this machine than on one that is idle. The acknowledger, librdkafka's timer and
    # its thread for the broker may each come as late as the slowest piece of work did; and what is finished while a
    # commit is under way waits for that one's answer, too.
    def late_ms(checker, group, work_ms)
      (3 * checker.overrun_ms(work_ms)) + (2 * group.slowest_answer_ms)
    end

    # The most that may be repeated when partitions were taken away so often: what ran, and what came to its end within
    # the tick before, which was not stored yet.
    def most_repeats(work_ms, concurrency: 25, losses: revokes)
      rounds = 2
      rounds += most_lag_ms / work_ms unless kafka.real?
      losses * rounds * concurrency
    end

    def clean_up_kafka
      members.each(&:close)
      @kept&.reverse_each(&:close)
      kafka.clean_up if @kept
      @kept = nil
    ensure
      FileUtils.rm_rf(@kafka_directory) if @kafka_directory
    end

    private

    def kept(resource)
      (@kept ||= []) << resource
      resource
    end

    def kafka_directory
      @kafka_directory ||= Dir.mktmpdir("work_shaper-kafka")
    end

    def member_config(group, protocol)
      config = { "bootstrap.servers": group.servers, "group.id": group.name, "auto.offset.reset": "earliest",
                 **PROTOCOLS.fetch(protocol) }
      return config if protocol == :consumer

      config.merge("session.timeout.ms": kafka.real? ? LONG_SESSION_MS : session_ms,
                   "heartbeat.interval.ms": HEARTBEAT_MS)
    end
  end
end
