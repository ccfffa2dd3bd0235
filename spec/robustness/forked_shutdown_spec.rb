# frozen_string_literal: true

require "spec_helper"

# `at_exit { shaper.shutdown }` is inherited by every child that does not leave by exit!.
RSpec.describe "Shutting down in a forked child" do
  states = {
    "is idle" => "m.enqueue(:key, nil, 0, 0); m.drain",
    "works" => "m.enqueue(:held, true, 0, 0); wait_until('at work') { gate.num_waiting == 1 }",
    "winds down" => "m.enqueue(:held, true, 0, 0); wait_until('at work') { gate.num_waiting == 1 }; m.request_shutdown",
    "is shut down" => "m.shutdown"
  }
  states.each do |name, prepare|
    it "does nothing and says so, with a manager that #{name} in the parent" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: ->(message, _, offset) { gate.pop if message; worked << offset })
        #{prepare}
        before = steady(m.stats)
        status = child_status(fork do
          2.times do
            same([true, true, nil], [m.shutdown, m.shutdown(timeout: 5), m.request_shutdown], "answers")
          end
          raised(WorkShaper::ForkedProcess) { m.enqueue(:key, nil, 0, 1) }
          raised(WorkShaper::ForkedProcess) { m.drain }
          raised(WorkShaper::ForkedProcess) { m.stats }
          raised(WorkShaper::ForkedProcess) { m.shutting_down? }
          same([], manager_threads, "threads of the child")
        end)
        check(status.success?, "the child ended well: \#{status}")
        same(before.except(:partitions), steady(m.stats).except(:partitions), "stats of the parent")
        gate.close
        same(true, m.shutdown(timeout: 10), "shutdown of the parent")
        same(m.total_enqueued, m.total_acked, "acked")
        passed
      RUBY
    end
  end

  it "does not end the child with an error, from an at_exit block that it inherits" do
    expect_child_to_pass(<<~RUBY)
      require "work_shaper/batches"
      parent = Process.pid
      m = manager
      batches = WorkShaper::Batches.new(heartbeat_period_sec: 0) { }
      at_exit do
        done = [m.shutdown, batches.shutdown, m.request_shutdown]
        exit!(9) unless done == [true, true, nil]
        passed if Process.pid == parent
      end
      m.enqueue(:key, nil, 0, 0)
      batches.process([1, 2], sub_key: nil)
      same([0, 3], [child_status(fork {}), child_status(fork { exit 3 })].map(&:exitstatus), "statuses of children")
      child = fork { child_status(fork {}).success? || exit!(8) }
      same(0, child_status(child).exitstatus, "status of a child with a child")
      same(true, m.drain(timeout: 5), "drain")
    RUBY
  end

  it "still refuses invalid arguments" do
    expect_child_to_pass(<<~RUBY)
      m = manager
      status = child_status(fork { raised(ArgumentError) { m.shutdown(nonsense: 1) } })
      check(status.success?, "the child ended well: \#{status}")
      expect_intact(m)
      passed
    RUBY
  end

  it "does nothing with batches whose process is under way in the parent" do
    expect_child_to_pass(<<~RUBY)
      require "work_shaper/batches"
      gate = Queue.new
      batches = WorkShaper::Batches.new(heartbeat_period_sec: 0) { |message| gate.pop; worked << message }
      caller = asleep_in { batches.process((0..4).to_a, sub_key: nil) }
      status = child_status(fork { same([true, true], [batches.shutdown, batches.shutdown(timeout: 1)], "answers") })
      check(status.success?, "the child ended well: \#{status}")
      gate.close
      ended(caller)
      same((0..4).to_a, worked.sort, "worked")
      same(true, batches.shutdown(timeout: 10), "shutdown")
      passed
    RUBY
  end
end
