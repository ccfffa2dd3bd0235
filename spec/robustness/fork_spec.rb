# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Forking a process which has a manager" do
  # Every method, as code; the child of a fork may use none of them. What ends a manager has nothing to do there.
  every_method = <<~RUBY
    def every_method_raises(m)
      calls = [-> { m.enqueue(:key, nil, 0, 0) }, -> { m.enqueue(:key, nil, 0, 0, timeout: 1) }, -> { m.flush },
               -> { m.try_enqueue(:key, nil, 0, 0) }, -> { m.drain }, -> { m.drain(timeout: 1) }, -> { m.revoke(0) },
               -> { m.report }, -> { m.report(detailed: true) }, -> { m.stats }, -> { m.total_enqueued },
               -> { m.total_acked }, -> { m.shutting_down }, -> { m.shutting_down? }]
      calls.each { |call| raised(WorkShaper::ForkedProcess) { Timeout.timeout(5) { call.call } } }
      same([true, true, nil], [m.shutdown, m.shutdown(timeout: 1), m.request_shutdown], "what ends a manager")
    end
  RUBY

  # The states in which the fork happens; `gate.close` lets everything go on.
  states = {
    "never used" => "m = manager; gate = Queue.new",
    "with parked workers" => <<~RUBY,
      gate = Queue.new
      m = manager(concurrency: 4)
      100.times { |offset| m.enqueue(offset % 9, nil, 1, offset) }
      m.drain
      worked.clear
    RUBY
    "with busy workers" => <<~RUBY,
      gate = Queue.new
      m = manager(concurrency: 4, work: ->(_, _, offset) { gate.pop; worked << offset })
      20.times { |offset| m.enqueue(offset % 9, nil, 0, offset) }
      wait_until("at work") { gate.num_waiting == 4 }
    RUBY
    "with blocked enqueuers and waits of every kind" => <<~RUBY,
      gate = Queue.new
      m = manager(work: ->(_, _, offset) { gate.pop; worked << offset }, max_in_queue: 1, max_in_flight: 2)
      m.enqueue(:key, nil, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      m.enqueue(:key, nil, 0, 1)
      asleep_in { m.enqueue(:key, nil, 0, 2) }
      asleep_in { m.enqueue(:other, nil, 0, 3) }
      2.times { asleep_in { m.drain } }
    RUBY
    "inside ack" => <<~RUBY,
      gate = Queue.new
      m = manager(ack: ->(partition, offset) { gate.pop; acked[partition] << offset })
      5.times { |offset| m.enqueue(offset, nil, 0, offset) }
      wait_until("in ack") { gate.num_waiting == 1 && worked.size == 5 && m.stats[:running].zero? }
    RUBY
    "while shutting down" => <<~RUBY
      gate = Queue.new
      m = manager(work: ->(_, _, offset) { gate.pop; worked << offset })
      9.times { |offset| m.enqueue(offset, nil, 0, offset) }
      m.shutdown(timeout: 0)
      wait_until("at work") { gate.num_waiting == 9 }
    RUBY
  }
  states.each do |name, prepare|
    it "raises ForkedProcess in the child, which ends with its handlers, #{name}" do
      expect_child_to_pass(<<~RUBY)
        #{every_method}
        #{prepare}
        before = steady(m.stats)
        read, write = IO.pipe
        pid = fork do
          at_exit { write.puts "at_exit" }
          every_method_raises(m)
          GC.start
          GC.compact if GC.respond_to?(:compact)
          every_method_raises(m)
          m.inspect
          other = manager
          other.enqueue(:key, nil, :child, 0)
          same(true, other.drain(timeout: 5), "drain of a manager of the child's own")
          same([0], acked[:child], "acked in the child")
          same(true, other.shutdown(timeout: 5), "shutdown in the child")
          m = nil
          GC.start
          write.puts "end"
        end
        status = nil
        time = seconds { status = child_status(pid) }
        check(status.success?, "the child ended well: \#{status}")
        check(time < 5, "the child ended soon: \#{time}")
        write.close
        same("end\\nat_exit\\n", read.read, "words of the child")
        after = m.stats
        before.delete(:partitions)
        same(before, after.slice(*before.keys), "stats of the parent")
        gate.close
        same(true, m.shutdown(timeout: 10), "shutdown of the parent")
        same(m.total_enqueued, m.total_acked, "acked in the parent")
        passed
      RUBY
    end

    it "lets the child leave by exit! and exec #{name}" do
      expect_child_to_pass(<<~RUBY)
        #{prepare}
        same(5, child_status(fork { exit!(5) }).exitstatus, "exit!")
        same(0, child_status(fork { exec("true") }).exitstatus, "exec")
        same(6, child_status(fork { raise SystemExit.new(6) }).exitstatus, "SystemExit")
        same(9, child_status(fork { Process.kill(:KILL, Process.pid) }).termsig, "SIGKILL")
        same(0, child_status(fork { child_status(fork { m = nil; GC.start }) }).exitstatus, "a child of the child")
        gate.close
        same(true, m.shutdown(timeout: 10), "shutdown of the parent")
        passed
      RUBY
    end
  end

  it "goes on untouched while children come and go" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      m = manager(concurrency: 4, max_in_queue: 3, max_in_flight: 40)
      feeder = Thread.new { 4_000.times { |offset| m.enqueue(offset % 13, nil, 0, offset) } }
      count = 0
      while feeder.alive? || count < 15
        pid = fork do
          raised(WorkShaper::ForkedProcess) { m.drain }
          raised(WorkShaper::ForkedProcess) { m.enqueue(:key, nil, 0, 1) }
        end
        check(child_status(pid).success?, "child \#{count}")
        count += 1
      end
      ended(feeder)
      same(true, m.drain(timeout: 10), "drain")
      same((0...4_000).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  %w[work on_done on_error ack].each do |name|
    it "may happen inside #{name}, with a block" do
      expect_child_to_pass(<<~RUBY)
        #{every_method}
        statuses = []
        m = nil
        forking = lambda do |*|
          pid = fork { every_method_raises(m) }
          statuses << child_status(pid)
        end
        work = ->(_, _, offset) { worked << offset; raise "on" if #{name == "on_error"} }
        m = manager(**{ work: work }.merge(#{name}: forking))
        3.times { |offset| m.enqueue(offset, nil, 0, offset) }
        same(true, m.drain(timeout: 10), "drain")
        same(3, statuses.size, "children")
        check(statuses.all?(&:success?), "children end well: \#{statuses}")
        same(true, m.shutdown(timeout: 10), "shutdown")
        passed
      RUBY
    end

    # The child comes back from the callback into a manager that is not its own.
    it "may happen inside #{name}, without a block" do
      expect_child_to_pass(<<~RUBY)
        read, write = IO.pipe
        pids = Queue.new
        parent = Process.pid
        say = ->(word) { write.syswrite("\#{word} \#{Process.pid == parent ? "parent" : "child"}\\n") }
        m = nil
        forking = lambda do |*arguments|
          say.call("#{name}")
          next unless (arguments[-1]).zero?

          pid = fork
          pids << pid if pid
        end
        work = lambda do |_, _, offset|
          say.call("more work") if offset.positive?
          raise "on" if #{name == "on_error"}
        end
        m = manager(concurrency: 2, **{ work: work }.merge(#{name}: forking))
        m.enqueue(:key, nil, 0, 0)
        status = child_status(pids.pop)
        check(!status.signaled?, "the child ends by itself: \#{status}")
        m.enqueue(:key, nil, 0, 1)
        same(true, m.drain(timeout: 10), "drain")
        same(true, m.shutdown(timeout: 10), "shutdown")
        write.close
        words = read.read
        check(!words.include?("child"), "the child does nothing more for the manager: \#{words}")
        passed
      RUBY
    end
  end

  it "leaves the parent alone when commands run from work" do
    expect_child_to_pass(<<~RUBY, limit: 30)
      m = manager(concurrency: 4, work: lambda do |_, _, offset|
        system("true") || raise("system")
        raise "backticks" unless `echo \#{offset}` == "\#{offset}\\n"
        IO.popen("-") { |io| io ? io.read : exit!(0) }
        worked << offset
      end, on_error: ->(error, *) { give_up(error.full_message) })
      40.times { |offset| m.enqueue(offset % 8, nil, 0, offset) }
      same(true, m.drain(timeout: 25), "drain")
      same((0...40).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "notices Process.daemon too" do
    expect_child_to_pass(<<~RUBY, limit: 30)
      #{every_method}
      read, write = IO.pipe
      pid = fork do
        gate = Queue.new
        m = manager(concurrency: 3, work: ->(*) { gate.pop })
        9.times { |offset| m.enqueue(offset, nil, 0, offset) }
        wait_until("at work") { gate.num_waiting == 3 }
        Process.daemon(true, true)
        write.puts Process.pid
        every_method_raises(m)
        at_exit { write.puts "at_exit" }
      end
      write.close
      check(child_status(pid).success?, "the first process ends well")
      daemon = Integer(read.gets)
      check(IO.select([read], nil, nil, 10), "the daemon says something")
      same("at_exit\\n", read.gets, "word of the daemon")
      unless IO.select([read], nil, nil, 10)
        Process.kill(:KILL, daemon)
        give_up("the daemon does not end")
      end
      same(nil, read.gets, "end of the daemon")
      passed
    RUBY
  end
end
