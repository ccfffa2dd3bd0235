# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "signals" do
  # A consumer with one message that runs (at the gate), one that waits behind it and one that is done; `from` is where
  # run is called.
  def busy(options = "", run: "result = c.run")
    <<~RUBY
      gate = Queue.new
      client.produce("orders", 0, "a", "slow", "b", "slow")
      c = fake_consumer(#{options}) do |m|
        gate.pop if m.key == "slow"
        worked << m.payload
      end
      assign_later(["orders", 0])
      main = Thread.current
      helper = Thread.new do
        wait_until("at work") do
          gate.num_waiting == 1 && worked.size == 2 && c.stats[:total_enqueued] == 4 && client.offset_of("orders", 0) == 1
        end
        yielded.call(c, gate)
      end
      #{run}
    RUBY
  end

  # `meanwhile` is done while it is busy.
  def script(meanwhile, after, options = "", **rest)
    "yielded = lambda do |c, gate|\n#{meanwhile}\nend\n#{busy(options, **rest)}\n#{after}\nno_threads_left\npassed\n"
  end

  %w[INT TERM QUIT].each do |signal|
    it "#{signal} stops it: what runs is finished and committed" do
      expect_consumer_to_pass(script(<<~MEANWHILE, <<~AFTER))
        Process.kill(:#{signal}, Process.pid)
        wait_until("winds down") { c.stats[:shutting_down] }
        gate << :go
      MEANWHILE
        same(true, result, "run")
        same(%w[a:0 b:2 slow:1], worked.sort, "worked")
        same({ ["orders", 0] => 3 }, client.committed, "committed")
        check(client.closed?, "left the group")
      AFTER
    end

    it "#{signal} a second time hurries it" do
      expect_consumer_to_pass(script(<<~MEANWHILE, <<~AFTER))
        Process.kill(:#{signal}, Process.pid)
        wait_until("winds down") { c.stats[:shutting_down] }
        Process.kill(:#{signal}, Process.pid)
      MEANWHILE
        same(false, result, "run")
        same({ ["orders", 0] => 1 }, client.committed, "committed")
        check(client.closed?, "left the group")
        gate << :go
      AFTER
    end
  end

  it "of different kinds hurry it as well" do
    expect_consumer_to_pass(script(<<~MEANWHILE, "same(false, result, 'run'); gate << :go"))
      Process.kill(:INT, Process.pid)
      wait_until("winds down") { c.stats[:shutting_down] }
      Process.kill(:TERM, Process.pid)
    MEANWHILE
  end

  it "reach it when run is on another thread" do
    run = "result = Thread.new { c.run }.value"
    expect_consumer_to_pass(script(<<~MEANWHILE, "same(true, result, 'run')", run: run))
      Process.kill(:TERM, Process.pid)
      wait_until("winds down") { c.stats[:shutting_down] }
      gate << :go
    MEANWHILE
  end

  it "TSTP ends the intake and nothing else: it stays in the group, works on what is there, and can be stopped" do
    expect_consumer_to_pass(script(<<~MEANWHILE, <<~AFTER))
      Process.kill(:TSTP, Process.pid)
      wait_until("paused") { c.stats[:paused] == %w[orders/0] }
      client.produce("orders", 0, "late")
      2.times { gate << :go }
      wait_until("finished") { worked.size == 4 && client.offset_of("orders", 0) == 4 }
      client.produce("orders", 1, "later")
      client.assign(["orders", 1])
      wait_until("paused, too") { c.stats[:paused] == %w[orders/0 orders/1] }
      takes = client.takes
      wait_until("turns") { client.interrupt || client.takes > takes + 10 }
      same(4, c.stats[:total_enqueued], "enqueued")
      check(c.healthy?, "healthy")
      check(!client.closed?, "in the group")
      Process.kill(:TERM, Process.pid)
    MEANWHILE
      same(true, result, "run")
      same(%w[a:0 b:2 slow:1 slow:3], worked.sort, "worked")
      same({ ["orders", 0] => 4 }, client.committed, "committed")
    AFTER
  end

  it "TTIN logs the backtraces of all threads, and it goes on" do
    expect_consumer_to_pass(script(<<~MEANWHILE, <<~AFTER))
      Process.kill(:TTIN, Process.pid)
      wait_until("logged") { log.string.scan("Backtrace").size >= 4 }
      2.times { gate << :go }
      wait_until("goes on") { worked.size == 4 }
      Process.kill(:INT, Process.pid)
    MEANWHILE
      same(true, result, "run")
      ["work_shaper worker", "work_shaper intake", "work_shaper acknowledger", "consumer.rb"].each do |part|
        check(log.string.include?(part), part + " in the log")
      end
    AFTER
  end

  it "have their old handlers back after run, however it ends" do
    expect_consumer_to_pass(<<~RUBY)
      seen = []
      handler = proc { seen << :mine }
      trap(:INT, handler)
      trap(:QUIT, "IGNORE")
      trap(:TTIN, "SYSTEM_DEFAULT")
      state = -> { %w[INT TERM QUIT TSTP TTIN].to_h { |s| old = trap(s, "DEFAULT"); trap(s, old); [s, old] } }
      before = state.call
      c = fake_consumer { }
      Thread.new { wait_until("runs") { c.healthy? }; c.stop }
      same(true, c.run, "run")
      same(before, state.call, "handlers after run")
      @client = nil
      broken = fake_consumer { }
      client.define_singleton_method(:subscribe) { |_| raise IOError }
      raised(IOError) { broken.run }
      same(before, state.call, "handlers after an error")
      @client = nil
      third = fake_consumer { }
      raised(Timeout::Error) { Timeout.timeout(0.2) { third.run } }
      same(before, state.call, "handlers after a timeout")
      Process.kill(:INT, Process.pid)
      wait_until("my own handler") { seen == [:mine] }
      passed
    RUBY
  end

  it "are left alone with signals: false" do
    expect_consumer_to_pass(<<~RUBY)
      seen = []
      trap(:TERM) { seen << :mine }
      c = fake_consumer(signals: false) { }
      runner = Thread.new { c.run }
      assign_later(["orders", 0]).join
      Process.kill(:TERM, Process.pid)
      wait_until("my own handler") { seen == [:mine] }
      check(runner.alive?, "runs on")
      check(c.healthy?, "healthy")
      c.stop
      same(true, runner.value, "run")
      error = raised(Interrupt) { Process.kill(:INT, Process.pid); sleep 5 }
      passed
    RUBY
  end

  it "with signals: false end the process as they do elsewhere, leaving the group in order" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a", "b")
      c = fake_consumer(signals: false) { |m| worked << m.payload }
      assign_later(["orders", 0])
      Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 2 }; Process.kill(:TERM, Process.pid) }
      error = raised(SignalException) { c.run }
      same("SIGTERM", error.message, "signal")
      check(client.closed?, "left the group")
      same(2, client.committed[["orders", 0]], "committed")
      no_threads_left
      passed
    RUBY
  end

  it "in a storm do no harm" do
    expect_consumer_to_pass(<<~RUBY)
      c = fake_consumer { |m| worked << m.payload }
      assign_later(["orders", 0])
      runner = Thread.new { c.run }
      wait_until("runs") { c.healthy? && c.stats[:assignment].any? }
      200.times do |n|
        client.produce("orders", 0, n.to_s)
        Process.kill(%i[TTIN TSTP].fetch(n.zero? ? 0 : 0), Process.pid)
      end
      wait_until("all done") { worked.size == 200 }
      50.times { Process.kill(:TERM, Process.pid) }
      check([true, false].include?(runner.value), "run")
      check(client.closed?, "left the group")
      no_threads_left
      passed
    RUBY
  end

  describe "and the end of the process" do
    it "that comes while run is on another thread leaves the group in order" do
      result = run_ruby(<<~RUBY)
        require #{ConsumerHelpers::CHILD.inspect}
        client.produce("orders", 0, "a", "b", "slow")
        c = fake_consumer { |m| m.key == "slow" ? sleep : worked << m.payload }
        client.on_close = -> { $stdout.puts("closed", client.committed.values.inspect); $stdout.flush }
        Thread.new { c.run }
        client.assign(["orders", 0])
        wait_until("worked") { client.offset_of("orders", 0) == 2 && c.stats[:running] == 1 }
        exit(3)
      RUBY
      expect(result.status.exitstatus).to eq(3), result.to_s
      expect(result.stdout).to eq("closed\n[2]\n"), result.to_s
      expect(result.seconds).to be < 20
    end

    it "that comes while run winds down does not wait for it" do
      result = run_ruby(<<~RUBY)
        require #{ConsumerHelpers::CHILD.inspect}
        client.produce("orders", 0, "a", "slow")
        c = fake_consumer(shutdown_timeout: 600) { |m| m.key == "slow" ? sleep : worked << m.payload }
        client.on_close = -> { $stdout.puts("closed"); $stdout.flush }
        Thread.new { Thread.current.report_on_exception = false; c.run }
        client.assign(["orders", 0])
        wait_until("worked") { client.offset_of("orders", 0) == 1 && c.stats[:running] == 1 }
        c.stop
        wait_until("winds down") { c.stats[:shutting_down] }
        exit(3)
      RUBY
      expect(result.status.exitstatus).to eq(3), result.to_s
      expect(result.stdout).to eq("closed\n"), result.to_s
      expect(result.seconds).to be < 20
    end

    it "may be made by a trap of one's own" do
      result = run_ruby(<<~RUBY)
        require #{ConsumerHelpers::CHILD.inspect}
        client.produce("orders", 0, "a")
        c = fake_consumer(signals: false) { |m| worked << m.payload }
        client.on_close = -> { $stdout.puts("closed"); $stdout.flush }
        trap(:TERM) { exit(4) }
        assign_later(["orders", 0])
        Thread.new { wait_until("worked") { client.offset_of("orders", 0) == 1 }; Process.kill(:TERM, Process.pid) }
        c.run
      RUBY
      expect(result.status.exitstatus).to eq(4), result.to_s
      expect(result.stdout).to eq("closed\n"), result.to_s
    end
  end

  describe "on the mock cluster" do
    it "TERM leaves nothing behind: all that ran is committed, and the process ends" do
      result = expect_consumer_to_pass(<<~RUBY, limit: 30)
        mock_topic(200, keys: %w[a b c])
        c = mock_consumer { |m| worked << m.offset }
        Thread.new { wait_until("worked") { worked.size == 200 }; Process.kill(:TERM, Process.pid) }
        same(true, c.run, "run")
        same(200, committed, "committed")
        no_threads_left
        passed
        exit!(0) # no client may keep it
      RUBY
      expect(result.seconds).to be < 20
    end

    it "comes back when the broker is gone" do
      result = expect_consumer_to_pass(<<~RUBY, limit: 40)
        mock_topic(20)
        c = mock_consumer(shutdown_timeout: 1) { |m| worked << m.offset }
        Thread.new do
          wait_until("worked") { worked.size == 20 }
          mock.down
          Process.kill(:TERM, Process.pid)
        end
        $stdout.puts seconds { check([true, false].include?(c.run), "run") }
        no_threads_left
        passed
      RUBY
      expect(result.stdout.to_f).to be < 15
    end
  end
end
