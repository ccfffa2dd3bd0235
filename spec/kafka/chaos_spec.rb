# frozen_string_literal: true

require "set"
require_relative "../support/kafka/suite"
require_relative "../support/kafka/chaos"

# `bin/rake "chaos[20,eager,7]"`: for 20 minutes, with that protocol and that seed. Otherwise one round with one of two
# protocols, by the seed.
minutes = ENV.fetch("CHAOS_MINUTES", 0).to_f
protocols = ENV.fetch("CHAOS_PROTOCOL") { %w[cooperative consumer][RSpec.configuration.seed % 2] }
               .split(",").map(&:to_sym)

RSpec.describe "A group in chaos", kafka: :cluster, watchdog: (minutes * 90) + 240 do
  let(:seed) { ENV.fetch("CHAOS_SEED", RSpec.configuration.seed).to_i }
  let(:staying) { kafka_topic(partitions: 6) }
  let(:changing) { kafka_topic(partitions: 2) }
  let(:group) { kafka_group(staying).begin_at_first.watch }

  # Every session is longer than what a busy machine may hold a process up.
  def chaos_for(minutes, protocol)
    config = { "topic.metadata.refresh.interval.ms": 1_000 }
    config[:"session.timeout.ms"] = 4_000 unless protocol == :consumer
    chaos = KafkaSpecs::Chaos.new(self, group, staying, changing,
                                  seed: seed, session_sec: protocol == :consumer ? 6 : 4, protocol: protocol,
                                  config: config, concurrency: 10, limit: (minutes * 90) + 200,
                                  work: { sleep_ms: 10, slow: { every: 150, sleep_ms: 700 } })
    chaos.run(minutes * 60)
    chaos
  ensure
    @story = chaos&.story
  end

  def checker_of(produced, topic, **known, &chosen)
    logs = members.map { |member| member.log.read.about(topic.name, &chosen) }
    KafkaSpecs::Checker.new(produced: produced, logs: logs, **known)
  end

  def judge(chaos)
    known = { zombies: chaos.zombies, outages: chaos.outages }
    stayed = checker_of(chaos.produced, staying, samples: group.samples, commits_repeated: chaos.outages, **known)
    ids = chaos.produced_again.to_set(&:id)
    changed = checker_of(chaos.produced_again, changing, **known) { |attempt| ids.include?(attempt.id) }
    [stayed, changed]
  end

  def figures(chaos, stayed, changed)
    chaos.counts.merge(messages: chaos.produced.size, repeated: stayed.repeats, revokes: revokes,
                       overlapping_repeats: stayed.overlapping_repeats,
                       messages_of_the_last_topic: chaos.produced_again.size, repeated_there: changed.repeats)
  end

  # What is needed to understand it stays in tmp/chaos.
  def keep_logs(protocol, violations)
    directory = File.join(KafkaSupport::ChildProcess::ROOT, "tmp", "chaos", "#{protocol}-#{seed}")
    FileUtils.rm_rf(directory)
    FileUtils.mkdir_p(directory)
    FileUtils.cp([*Dir.glob(File.join(kafka_directory, "*")), *kafka.cluster.logs], directory)
    File.write(File.join(directory, "story"), [*@story, *violations].join("\n"))
    directory
  end

  protocols.each do |protocol|
    it "loses nothing, keeps the order of each key and commits nothing unfinished (#{protocol})" do
      chaos = chaos_for(minutes, protocol)
      checkers = judge(chaos)
      violations = checkers.flat_map(&:violations)
      RSpec.configuration.reporter.message("Chaos, #{protocol}, seed #{seed}: #{figures(chaos, *checkers)}")

      expect(violations.first(KafkaSpecs::Helpers::SHOWN_VIOLATIONS)).to be_empty, lambda {
        "#{violations.size} violations, seed #{seed}, logs in #{keep_logs(protocol, violations)}:\n" \
          "#{violations.first(20).join("\n")}"
      }
    rescue StandardError
      warn "seed #{seed}, logs in #{keep_logs(protocol, [])}"
      raise
    end
  end
end
