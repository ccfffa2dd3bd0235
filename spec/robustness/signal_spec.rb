# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Signals" do
  # What the main thread does while the signal comes; at the end the manager must be shut down.
  waits = {
    "sleeping" => "sleep 0.001 until m.shutting_down",
    "enqueueing into a full sub key" => "raised(WorkShaper::ShuttingDown) { m.enqueue(:key, nil, 0, 3) }",
    "enqueueing at max_in_flight" => "raised(WorkShaper::ShuttingDown) { m.enqueue(:other, nil, 0, 3) }",
    "in drain" => "m.drain(timeout: 0.5)",
    "in shutdown" => "m.shutdown(timeout: 0.5)"
  }
  waits.each do |name, wait|
    it "may request the shutdown from a trap handler while the main thread is #{name}" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: gated(gate, 0), max_in_queue: 2, max_in_flight: #{name.include?("flight") ? 3 : 100})
        m.enqueue(:key, nil, 0, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        [1, 2].each { |offset| m.enqueue(:key, nil, 0, offset) }
        seen = []
        trap(:USR1) { seen << m.shutting_down << m.shutting_down? << m.request_shutdown << m.shutting_down }
        main = Thread.current
        Thread.new do
          wait_for_sleep(main)
          Process.kill(:USR1, Process.pid)
        end
        #{wait}
        wait_until("handled") { seen.size == 4 }
        same([#{name == "in shutdown"}, #{name == "in shutdown"}, nil, true], seen, "seen by the handler")
        gate.close
        wait_until("winds down by itself") { acked[0].size == 3 && manager_threads.empty? }
        same([0, 1, 2], acked[0], "acked")
        same(true, m.shutdown, "shutdown")
        passed
      RUBY
    end
  end

  # Where the other threads are decides which of them, if any, notices a signal for Ruby; none may be needed.
  others = {
    "parked workers only" => "m.enqueue(:none, nil, 0, 0); wait_until('parked') { worked.size == 1 }",
    "a worker in blocking I/O" => "m.enqueue(:read, nil, 0, 0)",
    "a worker in Queue#pop" => "m.enqueue(:pop, nil, 0, 0)",
    "a worker in sleep" => "m.enqueue(:sleep, nil, 0, 0)"
  }
  others.each do |name, prepare|
    it "reach the main thread in drain with #{name}" do
      expect_child_to_pass(<<~RUBY)
        reader, = IO.pipe
        held = Queue.new
        work = { none: -> {}, read: -> { reader.read }, pop: -> { held.pop }, sleep: -> { sleep } }
        m = manager(work: ->(message, _, offset) { worked << offset; work.fetch(message).call },
                    ack: ->(*) { reader.read })
        #{prepare.gsub(/enqueue\((:\w+), nil/, "enqueue(\\1, \\1")}
        main = Thread.current
        sender = Thread.new do
          wait_for_sleep(main)
          Process.spawn("sh", "-c", "kill -TERM \#{Process.pid}")
        end
        error = raised(SignalException) { m.drain }
        same("SIGTERM", error.message, "signal")
        ended(sender)
        passed
      RUBY
    end
  end

  it "do not disturb the waits, however many come" do
    expect_child_to_pass(<<~RUBY)
      trap(:USR1) {}
      m = manager(concurrency: 3, max_in_queue: 3, max_in_flight: 10)
      stop = false
      sender = Thread.new do
        until stop
          Process.kill(:USR1, Process.pid)
          Thread.pass
        end
      end
      3_000.times { |offset| m.enqueue(offset % 7, nil, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      same((0...3_000).to_a, acked[0], "acked")
      same(true, m.shutdown(timeout: 10), "shutdown")
      stop = true
      sender.join
      passed
    RUBY
  end

  # Only two of the methods promise to work there; the others may raise, but must come back.
  it "never hang or crash a manager which is used in a trap handler" do
    expect_child_to_pass(<<~RUBY, stderr: /can't be called from trap context|\\A\\z/)
      gate = Queue.new
      m = manager(work: gated(gate, 0), max_in_queue: 1)
      m.enqueue(:key, nil, 0, 0)
      m.enqueue(:key, nil, 0, 1)
      calls = [-> { m.stats }, -> { m.try_enqueue(:key, nil, 0, 2) }, -> { m.try_enqueue(:new, nil, 0, 3) },
               -> { m.enqueue(:key, nil, 0, 4, timeout: 0.01) }, -> { m.flush }, -> { m.revoke(:none) },
               -> { m.report(detailed: true) }, -> { m.drain(timeout: 0.01) }, -> { m.shutdown(timeout: 0.01) }]
      count = 0
      trap(:USR1) do
        begin
          calls.fetch(count).call
        rescue StandardError
          nil
        end
        count += 1
      end
      main = Thread.current
      sender = Thread.new do
        calls.each_index do |number|
          wait_until("the handler") { count == number && main.status == "sleep" }
          Process.kill(:USR1, Process.pid)
        end
        wait_until("all handled") { count == calls.size }
        gate.close
      end
      m.drain(timeout: 10)
      ended(sender)
      same(true, m.shutdown(timeout: 10), "shutdown")
      passed
    RUBY
  end

  it "interrupt a blocked enqueue with Interrupt, and the rescue can shut down" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0), max_in_queue: 1)
      2.times { |offset| m.enqueue(:key, nil, 0, offset) if offset.zero? || wait_until("at work") { gate.num_waiting == 1 } }
      main = Thread.current
      Thread.new do
        wait_for_sleep(main)
        Process.kill(:INT, Process.pid)
      end
      raised(Interrupt) { m.enqueue(:key, nil, 0, 2) }
      gate.close
      same(true, m.shutdown(timeout: 10), "shutdown")
      same([0, 1], acked[0], "acked")
      passed
    RUBY
  end

  it "end a process which does not handle them at once" do
    %w[INT TERM HUP].each do |signal|
      result = run_ruby(<<~RUBY, limit: 10)
        gate = Queue.new
        m = manager(work: ->(*) { gate.pop }, max_in_queue: 1)
        main = Thread.current
        Thread.new do
          wait_until("full") { gate.num_waiting == 1 && m.stats[:waiting] == 1 }
          wait_for_sleep(main)
          puts now
          $stdout.flush
          Process.kill(:#{signal}, Process.pid)
        end
        loop { m.enqueue(:key, nil, 0, 0) }
      RUBY
      expect(result.status.termsig).to eq(Signal.list[signal]), result.to_s
      expect(result.ended_at - Float(result.stdout)).to be < 4, result.to_s
    end
  end
end
