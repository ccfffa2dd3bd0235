# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Thread.handle_interrupt around the manager" do
  it "is not handed down to the workers" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = Thread.handle_interrupt(Object => :never) do
        manager(concurrency: 3, work: ->(*) { gate.pop }).tap do |one|
          3.times { |offset| one.enqueue(offset, nil, 0, offset) }
        end
      end
      wait_until("at work") { gate.num_waiting == 3 }
      workers.each do |worker|
        worker.kill
        ended(worker)
      end
      expect_intact(m, fatal: true)
      passed
    RUBY
  end

  it "does not stop the process from ending" do
    result = run_ruby(<<~RUBY, limit: 10)
      gate = Queue.new
      m = Thread.handle_interrupt(Object => :never) do
        manager(concurrency: 3, work: ->(*) { gate.pop }).tap do |one|
          5.times { |offset| one.enqueue(offset, nil, 0, offset) }
        end
      end
      wait_until("at work") { gate.num_waiting == 3 }
      puts now
    RUBY
    expect(result.status).to be_success, result.to_s
    expect(result.ended_at - Float(result.stdout)).to be < 4
  end

  # The pending interrupt must neither end the masked wait nor make it spin.
  { "enqueue" => "m.enqueue(:key, nil, 0, 2)", "drain" => "m.drain", "shutdown" => "m.shutdown" }.each do |name, call|
    it "keeps a masked #{name} waiting quietly when it is killed, and kills it afterwards" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: gated(gate, 0), max_in_queue: 1)
        m.enqueue(:key, nil, 0, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        m.enqueue(:key, nil, 0, 1)
        result = nil
        after = false
        thread = asleep_in do
          Thread.handle_interrupt(Object => :never) { result = #{call} }
          after = true
        end
        thread.kill
        cpu = -> { Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) }
        before = cpu.call
        check(thread.join(0.6).nil?, "it still waits")
        used = cpu.call - before
        check(used < 0.2, "it waits without spinning: \#{used} s")
        gate.close
        ended(thread)
        same(true, result, "result")
        same(false, after, "went on after the mask")
        same(true, m.shutdown(timeout: 10), "shutdown")
        passed
      RUBY
    end
  end

  it "leaves the timeouts of masked calls working" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0), max_in_queue: 1)
      m.enqueue(:key, nil, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      m.enqueue(:key, nil, 0, 1)
      masked = Queue.new
      thread = Thread.new do
        Thread.current.report_on_exception = false
        Thread.handle_interrupt(Object => :never) do
          masked << true
          raised(WorkShaper::Full) { m.enqueue(:key, nil, 0, 2, timeout: 0.05) }
          [m.drain(timeout: 0.05), m.shutdown(timeout: 0.05)]
        end
      end
      masked.pop
      thread.raise(IOError, "pending all the while")
      raised(IOError) { ended(thread).value }
      gate.close
      same(true, m.shutdown(timeout: 10), "shutdown")
      passed
    RUBY
  end

  it "may be used by the callbacks themselves" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      masked = lambda do |_, _, offset|
        Thread.handle_interrupt(Object => :never) { gate.pop }
        worked << offset
      end
      m = manager(concurrency: 2, work: masked)
      2.times { |offset| m.enqueue(offset, nil, 0, offset) }
      wait_until("at work") { gate.num_waiting == 2 }
      victim = workers.first
      victim.kill
      gate.close
      ended(victim)
      m.shutdown(timeout: 10)
      wait_until("no thread left") { manager_threads.empty? }
      passed
    RUBY
  end

  it "keeps priority, abort_on_exception and the group of the caller from the workers" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      group = ThreadGroup.new
      m = nil
      Thread.abort_on_exception = true
      starter = Thread.new do
        group.add(Thread.current)
        Thread.current.priority = -3
        m = manager(concurrency: 2, work: ->(message, _, offset) { worked << offset; raise "in work" if message })
        4.times { |offset| m.enqueue(offset, offset.odd?, 0, offset) }
      end
      ended(starter)
      same(true, m.drain(timeout: 10), "drain")
      same([0, 1, 2, 3], acked[0], "acked")
      same([0], workers.map(&:priority).uniq, "priority")
      Thread.abort_on_exception = false
      expect_intact(m)
      passed
    RUBY
  end
end
