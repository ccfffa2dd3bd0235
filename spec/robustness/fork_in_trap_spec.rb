# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A fork in a trap handler" do
  # What the main thread waits in while the signal comes; the gate lets the parent go on.
  waits = {
    "enqueue on a full sub key" => "m.enqueue(:key, nil, 0, 2)",
    "enqueue at max_in_flight" => "full.enqueue(:other, nil, 0, 1)",
    "enqueue with a timeout" => "full.enqueue(:other, nil, 0, 1, timeout: 60)",
    "drain" => "m.drain",
    "drain with a timeout" => "m.drain(timeout: 60)",
    "flush" => "acking.flush",
    "shutdown" => "m.shutdown",
    "shutdown with a timeout" => "m.shutdown(timeout: 60)",
    "revoke" => "acking.revoke(0)"
  }
  waits.each do |name, wait|
    it "raises ForkedProcess soon in the child, where the main thread waits in #{name}" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: ->(*) { gate.pop }, max_in_queue: 1)
        m.enqueue(:key, nil, 0, 0)
        full = manager(work: ->(*) { gate.pop }, max_in_flight: 1)
        full.enqueue(:key, nil, 0, 0)
        acking = manager(ack: ->(*) { gate.pop })
        acking.enqueue(:key, nil, 0, 0)
        wait_until("at the gate") { gate.num_waiting == 3 }
        m.enqueue(:key, nil, 0, 1)
        parent = Process.pid
        pids = Queue.new
        forked_at = nil
        trap(:USR1) do
          pid = fork
          pid ? pids << pid : forked_at = now
        end
        main = Thread.current
        helper = Thread.new do
          wait_for_sleep(main)
          Process.kill(:USR1, parent)
          wait_until("forked") { !pids.empty? }
          status = child_status(pids.pop)
          gate.close
          status
        end
        begin
          #{wait}
        rescue WorkShaper::ForkedProcess
          exit!(Process.pid == parent ? 20 : now - forked_at < 5 ? 7 : 21)
        end
        exit!(22) unless Process.pid == parent
        same(7, ended(helper).value.exitstatus, "status of the child")
        [m, full, acking].each { |one| same(true, one.shutdown(timeout: 10), "shutdown") }
        passed
      RUBY
    end
  end

  it "raises ForkedProcess in the child where the main thread waits in process" do
    expect_child_to_pass(<<~RUBY)
      require "work_shaper/batches"
      gate = Queue.new
      batches = WorkShaper::Batches.new(heartbeat_period_sec: 0, max_in_flight: 2) { |_| gate.pop }
      parent = Process.pid
      pids = Queue.new
      trap(:USR1) { (pid = fork) && pids << pid }
      main = Thread.current
      helper = Thread.new do
        wait_until("at work") { gate.num_waiting == 2 }
        wait_for_sleep(main)
        Process.kill(:USR1, parent)
        wait_until("forked") { !pids.empty? }
        status = child_status(pids.pop)
        gate.close
        status
      end
      begin
        batches.process((0..9).to_a, sub_key: nil)
      rescue WorkShaper::ForkedProcess
        exit!(Process.pid == parent ? 20 : 7)
      end
      exit!(22) unless Process.pid == parent
      same(7, ended(helper).value.exitstatus, "status of the child")
      same(true, batches.shutdown(timeout: 10), "shutdown")
      passed
    RUBY
  end
end
