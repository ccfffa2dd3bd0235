# frozen_string_literal: true

require "spec_helper"
require_relative "schedule"
require_relative "schedule_runner"
require_relative "invariant_checker"

# SEED=123 RUNS=1 runs one schedule again; RUNS is the number of schedules of each profile.
RSpec.describe "The invariants under random schedules" do
  runs = Integer(ENV.fetch("RUNS", "250"))
  first_seed = Integer(ENV.fetch("SEED") { Random.new_seed % 1_000_000_000 })

  def explain(schedule, runner, violations)
    log = runner.log.each_with_index.map { |event, place| "#{place} #{event.join(" ")}" }
    "#{violations.join("\n")}\n\n#{schedule}\n\nlog:\n#{log.join("\n")}\n\n#{runner.final_stats}"
  end

  Schedule::PROFILES.each_key do |profile|
    it "hold with #{profile} (SEED=#{first_seed})", watchdog: 60 + (runs / 10) do
      runs.times do |number|
        schedule = Schedule.new(first_seed + number, profile)
        runner = ScheduleRunner.new(schedule).run
        violations = InvariantChecker.new(runner, schedule).check
        expect(violations).to be_empty, -> { explain(schedule, runner, violations) }
      end
    end
  end
end
