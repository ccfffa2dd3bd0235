# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "and fork", if: Process.respond_to?(:fork) do
  it "that was made before it runs in the child" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a", "b")
      c = fake_consumer { |m| worked << m.payload }
      pid = fork do
        assign_later(["orders", 0])
        Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 2 }; c.stop }
        same(true, c.run, "run")
        same(%w[a:0 b:1], worked, "worked")
        no_threads_left
        exit!(0)
      end
      check(child_status(pid).success?, "the child")
      same({}, c.stats, "stats in the parent")
      passed
    RUBY
  end

  it "may be made and run in many children" do
    expect_consumer_to_pass(<<~RUBY, limit: 30)
      mock_topic(20)
      c = mock_consumer { |m| worked << m.offset }
      pids = Array.new(2) do |number|
        fork do
          own = number.zero? ? c : mock_consumer(config: { "group.id": "other" }) { |m| worked << m.offset }
          Thread.new { wait_until("worked") { worked.size == 20 }; Process.kill(:TERM, Process.pid) }
          same(true, own.run, "run")
          same((0...20).to_a, worked.sort, "worked")
          no_threads_left
          exit!(0)
        end
      end
      pids.each { |pid| check(child_status(pid).success?, "the child") }
      same(20, committed, "committed")
      passed
      exit!(0) # no client may keep it
    RUBY
  end

  it "in the middle of work does no harm: the child cannot use it, the parent goes on" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "fork", "a")
      statuses = []
      c = fake_consumer do |m|
        if m.key == "fork"
          pid = fork do
            raised(WorkShaper::ForkedProcess) { c.stats }
            raised(WorkShaper::Error) { c.run }
            c.stop
            exit!(0)
          end
          statuses << child_status(pid)
        end
        worked << m.payload
      end
      assign_later(["orders", 0])
      Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 2 }; c.stop }
      same(true, c.run, "run")
      check(statuses.all?(&:success?), "the child")
      no_threads_left
      passed
    RUBY
  end

  it "of a process with one that runs, and an end of the child by exit, leaves the parent's alone" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a")
      c = fake_consumer(signals: false) { |m| worked << m.payload }
      runner = Thread.new { c.run }
      client.assign(["orders", 0])
      wait_until("worked") { client.offset_of("orders", 0) == 1 }
      pid = fork { exit(5) }
      same(5, child_status(pid).exitstatus, "the child's status")
      client.produce("orders", 0, "b")
      wait_until("goes on") { client.offset_of("orders", 0) == 2 }
      c.stop
      same(true, runner.value, "run")
      passed
    RUBY
  end
end
