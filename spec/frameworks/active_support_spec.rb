# frozen_string_literal: true

require "spec_helper"
require_relative "run"

RSpec.describe "ActiveSupport::Notifications as WorkShaper.instrumenter", watchdog: 300 do
  it "is told of events once it is loaded and somebody subscribes; a LogSubscriber writes them" do
    run = Frameworks::Run.child("active_support")
    expect(run.wait).to eq(0), -> { run.to_s }
    lines = run.stdout.lines(chomp: true)
    expect(lines.take(5)).to eq(["before: nil", "loaded: ActiveSupport::Notifications", "attempt.work_shaper 2 done",
                                 "attempt.work_shaper -3 failed", "unheard: 0"])
    debug, warn = lines.drop(5).partition { |line| line.start_with?("debug") }
    expect(debug).to match([
                             /\Adebug: WorkShaper: 0:5 done in \d+\.\d ms, \d+\.\d ms after it came\z/,
                             /\Adebug: WorkShaper: 0:6 failed in \d+\.\d ms, \d+\.\d ms after it came\z/,
                             "debug: WorkShaper: 0:6 failed, attempt 1: IOError: disk",
                             "debug: WorkShaper: 0:6 is given up (:skip) after attempt 1: IOError: disk",
                             "debug: WorkShaper: stopping", "debug: WorkShaper: stopped"
                           ])
    expect(warn).to eq(["warn: WorkShaper: 0:6 failed, attempt 1: IOError: disk",
                        "warn: WorkShaper: 0:6 is given up (:skip) after attempt 1: IOError: disk"])
  end

  it "is named by the LogSubscriber that lacks it" do
    expect_child_to_pass(<<~RUBY, env: { "BUNDLE_GEMFILE" => nil, "RUBYOPT" => nil })
      Gem.paths = { "GEM_HOME" => "/nowhere", "GEM_PATH" => "/nowhere" }
      begin
        require "work_shaper/log_subscriber"
      rescue LoadError => e
        same("work_shaper/log_subscriber needs the activesupport gem: bundle add activesupport", e.message)
        passed
      end
    RUBY
  end
end
