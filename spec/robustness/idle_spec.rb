# frozen_string_literal: true

require "spec_helper"

# I9: with nothing to do it uses no CPU, and wakes nobody up.
RSpec.describe "An idle manager" do
  states = {
    "that was never used" => "m = manager",
    "with the default heartbeat" => "m = manager(heartbeat_period_sec: 60)",
    "whose workers are parked" => <<~RUBY,
      m = manager(concurrency: 8, work: ->(*) { Thread.pass })
      2_000.times { |offset| m.enqueue(offset % 50, nil, 0, offset) }
      m.drain
    RUBY
    "behind a head that takes long" => <<~RUBY,
      gate = Queue.new
      m = manager(concurrency: 4, work: gated(gate, 0))
      500.times { |offset| m.enqueue(offset, nil, 0, offset) }
      wait_until("the rest is done") { worked.size == 499 }
    RUBY
    "which is full, with enqueuers and drains that wait" => <<~RUBY,
      gate = Queue.new
      m = manager(work: gated(gate, 0, 1, 2), max_in_queue: 1, max_in_flight: 3)
      3.times { |offset| m.enqueue(offset.zero? ? :key : offset, nil, 0, offset) }
      4.times { |n| asleep_in { m.enqueue([:waits, n], nil, 0, 10 + n, timeout: 1_000) } }
      2.times { asleep_in { m.drain } }
      asleep_in { m.drain(timeout: 1_000) }
    RUBY
    "which winds down behind work that hangs" => <<~RUBY,
      gate = Queue.new
      m = manager(work: gated(gate, 0))
      3.times { |offset| m.enqueue(offset, nil, 0, offset) }
      same(false, m.shutdown(timeout: 0.05), "shutdown")
      wait_until("the rest is done") { worked.size == 2 }
    RUBY
    "whose ack hangs" => <<~RUBY,
      gate = Queue.new
      m = manager(concurrency: 1, ack: ->(*) { gate.pop }) # each idle worker looks every 100 ms then
      9.times { |offset| m.enqueue(offset, nil, 0, offset) }
      wait_until("in ack") { gate.num_waiting == 1 && worked.size == 9 }
    RUBY
    "that was shut down" => <<~RUBY
      m = manager
      9.times { |offset| m.enqueue(offset, nil, 0, offset) }
      m.shutdown
    RUBY
  }
  # Linux counts for each thread how often it went to sleep of its own accord.
  measure = <<~RUBY
    def switches
      Dir["/proc/self/task/*/status"].to_h { |file| [file, Integer(File.read(file)[/^voluntary_ctxt_switches:\\s+(\\d+)/, 1])] }
    end

    def idle_for(seconds)
      # What the preparation left to be done comes to an end first.
      wait_until("rest") { before = switches; sleep 0.05; switches.count { |file, count| count > before.fetch(file, 0) } <= 1 } if File.exist?("/proc/self/task")
      GC.start
      before = switches if File.exist?("/proc/self/task")
      cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      began = now
      sleep seconds
      lasted = now - began
      cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - cpu
      woken = before ? switches.sum { |file, count| count - before.fetch(file, 0) } : 0
      [cpu / lasted, woken / lasted]
    end
  RUBY

  states.each do |name, prepare|
    it "#{name} uses no CPU" do
      expect_child_to_pass(<<~RUBY)
        #{measure}
        #{prepare}
        cpu, woken = idle_for(1.0)
        check(cpu < 0.01, "CPU used in a second: \#{cpu}")
        # The sleep of the main thread itself is one or two; while something is in flight the watchdog looks every 100 ms.
        check(woken < (m.stats[:in_flight].zero? ? 10 : 30), "threads woken up in a second: \#{woken}")
        passed
      RUBY
    end
  end

  it "uses CPU again only for what it is given" do
    expect_child_to_pass(<<~RUBY)
      #{measure}
      m = manager(concurrency: 4)
      m.enqueue(:key, nil, 0, 0)
      m.drain
      feeder = Thread.new { 5.times { |n| sleep 0.1; m.enqueue(:key, nil, 0, n + 1) } }
      cpu, woken = idle_for(1.0)
      ended(feeder)
      check(cpu < 0.03, "CPU used for five messages: \#{cpu}")
      check(woken < 80, "threads woken up for five messages: \#{woken}")
      expect_intact(m)
      passed
    RUBY
  end
end
