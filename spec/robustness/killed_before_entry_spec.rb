# frozen_string_literal: true

require "spec_helper"

# A TracePoint of :thread_begin (a debugger, a profiler) runs in the new thread before anything of ours: a kill or an
# exception that arrives there ends the thread without our knowing.
RSpec.describe "A thread of the manager that dies before it has begun" do
  # `killing` counts how many of the next threads to begin are ended there, and is told of each.
  prelude = <<~RUBY
    killing = 0
    begun = Queue.new
    HOOK = TracePoint.new(:thread_begin) do
      if killing.positive? && !Thread.current.equal?(Thread.main)
        killing -= 1
        begun << Thread.current
        sleep
      end
    end
    # Ends the next that begins by `how` while the block runs on a thread of its own.
    next_ends = lambda do |how, &block|
      ready = Queue.new
      caller = Thread.new { ready.pop; block.call }
      wait_for_sleep(caller)
      killing = 1
      HOOK.enable
      ready << true
      victim = begun.pop
      victim.report_on_exception = false
      how.call(victim)
      begin
        ended(victim)
      rescue Exception
        nil
      end
      HOOK.disable
      ended(caller)
    end
  RUBY
  ways = { "killed" => "->(thread) { thread.kill }",
           "raised into" => "->(thread) { thread.raise(IOError, 'too early') }" }

  ways.each do |name, how|
    it "is replaced when it is a worker that was #{name} (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        #{prelude}
        m = manager
        # The acknowledger is there already.
        m.enqueue(:key, nil, 0, 0)
        same(true, m.drain(timeout: 5), "drain")
        wait_for_sleep(*workers)
        workers.each { |worker| worker.kill.join }
        next_ends.call(#{how}) { m.enqueue(:key, nil, 0, 1) }
        soon = seconds { wait_until("worked") { worked.size == 2 } }
        check(soon < 3, "worked on soon: \#{soon}")
        same(true, m.drain(timeout: 5), "drain")
        same([0, 1], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end

    it "is replaced when it is an acknowledger that was #{name} (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        #{prelude}
        m = manager
        m.enqueue(:key, nil, 0, 0)
        same(true, m.drain(timeout: 5), "drain")
        next_ends.call(#{how}) do
          victim = acknowledger
          victim.kill.join # which starts another, or the enqueue does
          m.enqueue(:key, nil, 0, 1)
        end
        wait_until("acked") { acked[0] == [0, 1] }
        same(true, m.drain(timeout: 5), "drain")
        expect_intact(m)
        passed
      RUBY
    end

    it "is replaced when it is the first of its manager that was #{name}, a drain waiting (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        #{prelude}
        m = nil
        next_ends.call(#{how}) do
          m = manager
          m.enqueue(:key, nil, 0, 0)
        end
        same(true, m.drain(timeout: 5), "drain")
        same([0], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "is replaced although it happens to several in a row (I5)" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      #{prelude}
      m = manager(concurrency: 2)
      m.enqueue(:key, nil, 0, 0)
      same(true, m.drain(timeout: 5), "drain")
      wait_for_sleep(*workers)
      workers.each { |worker| worker.kill.join }
      5.times { |n| next_ends.call(->(thread) { thread.kill }) { m.enqueue(n, nil, 0, n + 1) } if m.stats[:workers].zero? }
      same(true, m.drain(timeout: 5), "drain")
      same(m.total_enqueued, m.total_acked, "acked")
      gate = Queue.new
      expect_intact(m)
      passed
    RUBY
  end

  it "takes no place of concurrency away (I5)" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      #{prelude}
      gate = Queue.new
      m = manager(concurrency: 3, work: ->(message, *) { gate.pop if message })
      m.enqueue(:key, nil, 0, 0)
      same(true, m.drain(timeout: 5), "drain")
      wait_for_sleep(*workers)
      workers.each { |worker| worker.kill.join }
      next_ends.call(->(thread) { thread.kill }) { m.enqueue(:first, true, 0, 1) }
      3.times { |n| m.enqueue(n, true, 0, n + 2) }
      wait_until("three at work") { gate.num_waiting == 3 }
      gate.close
      same(true, m.drain(timeout: 5), "drain")
      expect_intact(m)
      passed
    RUBY
  end

  it "does not keep a shutdown from ending (I5)" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      #{prelude}
      m = manager
      m.enqueue(:key, nil, 0, 0)
      same(true, m.drain(timeout: 5), "drain")
      wait_for_sleep(*workers)
      workers.each { |worker| worker.kill.join }
      next_ends.call(->(thread) { thread.kill }) { m.enqueue(:key, nil, 0, 1) }
      same(true, m.shutdown(timeout: 5), "shutdown")
      same([0, 1], acked[0], "acked")
      wait_until("no thread left") { manager_threads.empty? }
      passed
    RUBY
  end
end
