# frozen_string_literal: true

require "spec_helper"

# A sub key is a customer, an account: what nobody asked for does not tell it.
RSpec.describe WorkShaper::Manager, "sub keys in the log" do
  let(:secret) { "Jane Doe, 7 Elm Street" }

  # One message of the secret sub key runs and holds up others, one waits.
  def busy_manager(period: nil, key: secret)
    @held = gate
    log
    callbacks = calls.callbacks(work: ->(*) { @held.pass })
    shaper = keep(WorkShaper::Manager.new(**callbacks, concurrency: 1, heartbeat_period_sec: period))
    3.times { |n| shaper.enqueue(key, n, :p, n) }
    settle(shaper, running: 1, waiting: 2)
    shaper
  end

  def reports
    log.entries(/\AReporting/)
  end

  it "are not in the heartbeat" do
    busy_manager(period: 1)
    eventually { reports.size >= 2 }
    expect(log.lines.to_s).not_to include(secret)
    expect(reports.to_s).to include("oldest_unfinished").and include("oldest_age_sec")
  end

  it "are not in what a heartbeat writes" do
    shaper = busy_manager
    shaper.send(:beat)
    expect(reports.size).to be >= 1
    expect(log.lines.to_s).not_to include(secret)
  end

  it "are not in the report of a shutdown" do
    shaper = busy_manager
    shaper.request_shutdown
    eventually { reports.any? }
    @held.open
    bounded { shaper.shutdown(timeout: 5) }
    expect(log.lines.to_s).not_to include(secret)
  end

  it "are not in what a manager that failed says" do
    without_thread_reports do
      shaper = manager(work: ->(*) { raise NoMemoryError, "later" })
      shaper.enqueue(secret, :message, :p, 0)
      eventually { shaper.shutting_down? }
      bounded { shaper.shutdown(timeout: 5) }
      expect(log.lines.to_s).not_to include(secret)
      expect(shaper.stats[:fatal]).not_to include(secret)
    end
  end

  it "are in what somebody asked for" do
    shaper = busy_manager
    expect(shaper.stats[:partitions][:p]).to include(oldest_sub_key: secret)
    shaper.report(detailed: true)
    expect(reports.to_s).to include(secret)
  end

  it "may be of any class" do
    key = Class.new { def inspect = "Jane Doe" }.new
    shaper = busy_manager(key: key)
    shaper.send(:beat)
    expect(log.lines.to_s).not_to include("Jane Doe")
    expect(shaper.stats[:partitions][:p]).to include(oldest_sub_key: key)
  end
end
