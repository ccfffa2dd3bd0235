# frozen_string_literal: true

require "spec_helper"

RSpec.describe "The end of the process" do
  # Runs a script which prints the time as its last act, and returns how long the process lived on.
  def seconds_to_end(script, status: 0, **options)
    result = run_ruby("#{script}\nputs now\n$stdout.flush\n#{options.delete(:last_act)}", **options)
    expect(result.status.exitstatus).to eq(status), result.to_s
    expect(result.stderr).to eq(""), result.to_s
    result.ended_at - Float(result.stdout.lines.last)
  end

  states = {
    "never used" => "m = manager",
    "parked workers" => <<~RUBY,
      m = manager(concurrency: 10)
      1_000.times { |offset| m.enqueue(offset % 50, nil, 0, offset) }
      m.drain
    RUBY
    "sleeping work" => <<~RUBY,
      at_work = Queue.new
      m = manager(concurrency: 10, work: ->(*) { at_work << true; sleep })
      20.times { |offset| m.enqueue(offset, nil, 0, offset) }
      10.times { at_work.pop }
    RUBY
    "blocked enqueuers" => <<~RUBY,
      gate = Queue.new
      m = manager(work: ->(*) { gate.pop }, max_in_queue: 1, max_in_flight: 5)
      5.times { |offset| m.enqueue(offset, nil, 0, offset) }
      10.times { |key| asleep_in { m.enqueue(key, nil, 0, 9) } }
    RUBY
    "waits in drain, shutdown and revoke" => <<~RUBY,
      gate = Queue.new
      m = manager(ack: ->(*) { gate.pop })
      m.enqueue(:key, nil, 0, 0)
      wait_until("in ack") { gate.num_waiting == 1 }
      asleep_in { m.revoke(0) }
      3.times { asleep_in { m.drain } }
      3.times { asleep_in { m.shutdown } }
    RUBY
    "a shutdown that winds down" => <<~RUBY,
      gate = Queue.new
      m = manager(work: ->(*) { gate.pop })
      9.times { |offset| m.enqueue(offset, nil, 0, offset) }
      m.shutdown(timeout: 0)
    RUBY
    "many managers" => <<~RUBY
      managers = Array.new(30) { |n| manager.tap { |m| m.enqueue(:key, nil, 0, n) } }
      managers.each(&:drain)
    RUBY
  }
  states.each do |name, script|
    it("is prompt with #{name}") { expect(seconds_to_end(script, limit: 15)).to be < 4 }

    it "is prompt with #{name} by exit!" do
      expect(seconds_to_end(script, limit: 15, last_act: "exit!(7)", status: 7)).to be < 4
    end
  end

  it "is prompt with workers that burn CPU" do
    expect(seconds_to_end(<<~RUBY, limit: 20)).to be < 6
      at_work = Queue.new
      m = manager(concurrency: 4, work: ->(*) { at_work << true; loop {} })
      4.times { |offset| m.enqueue(offset, nil, 0, offset) }
      4.times { at_work.pop }
    RUBY
  end

  it "runs at_exit handlers, in which a manager can still be shut down" do
    expect_child_to_pass(<<~RUBY)
      m = manager(concurrency: 2, work: ->(_, _, offset) { Thread.pass; worked << offset })
      at_exit do
        same(true, m.shutdown(timeout: 10), "shutdown")
        same((0...200).to_a, acked[0], "acked")
        passed
      end
      200.times { |offset| m.enqueue(offset % 9, nil, 0, offset) }
    RUBY
  end

  # The main thread in each state in which it may be told to exit by a worker.
  waits = {
    "sleeps" => "sleep",
    "drains" => "m.drain",
    "shuts down" => "m.shutdown",
    "enqueues" => "gate.close; begin; loop { m.enqueue(:key, nil, 0, 1) }; rescue WorkShaper::ShuttingDown; end"
  }
  waits.each do |name, wait|
    { "exit 3" => [3, ""], "abort 'gone'" => [1, "gone\n"], "exit! 4" => [4, ""],
      "raise SystemExit.new(5)" => [5, ""] }.each do |way, (status, words)|
      it "comes from work by #{way} while the main thread #{name}" do
        result = run_ruby(<<~RUBY)
          gate = Queue.new
          m = manager(max_in_queue: 1, work: ->(*) { gate.pop; #{way} })
          m.enqueue(:key, nil, 0, 0)
          wait_until("at work") { gate.num_waiting == 1 }
          main = Thread.current
          Thread.new { wait_for_sleep(main); gate.close } unless #{name == "enqueues"}
          #{wait}
          sleep
        RUBY
        expect([result.status.exitstatus, result.stderr]).to eq([status, words]), result.to_s
        expect(result.seconds).to be < 10
      end
    end
  end

  # Whoever raises it on the main thread asks for `exception`, and others run meanwhile.
  { "work" => %w[m.await(0) m.drain m.shutdown m.enqueue(:key,nil,0,1)],
    "ack" => %w[m.drain m.shutdown m.enqueue(:key,nil,0,1)] }.each do |callback, calls|
    calls.each do |call|
      it "comes from #{callback} before the main thread is back from #{call}" do
        result = run_ruby(<<~RUBY)
          slow = Class.new(SystemExit) { def exception(*) = sleep(0.3) && self }
          gate = Queue.new
          m = manager(max_in_flight: 1, #{callback}: ->(*) { gate.pop; raise slow.new(3) })
          m.enqueue(:key, nil, 0, 0)
          wait_until("in #{callback}") { gate.num_waiting == 1 }
          main = Thread.current
          Thread.new { wait_for_sleep(main); gate.close }
          begin
            #{call}
          rescue WorkShaper::ShuttingDown
            nil
          end
          exit! 9
        RUBY
        expect([result.status.exitstatus, result.stderr]).to eq([3, ""]), result.to_s
      end
    end
  end

  it "may come from every callback" do
    %w[on_done on_error ack].each do |name|
      result = run_ruby(<<~RUBY)
        m = manager(work: ->(*) { raise "on to on_error" if #{name == "on_error"} }, #{name}: ->(*) { exit 6 })
        m.enqueue(:key, nil, 0, 0)
        sleep
      RUBY
      expect([result.status.exitstatus, result.stderr]).to eq([6, ""]), result.to_s
    end
  end

  it "leaves what was at work unacknowledged" do
    result = run_ruby(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 1), ack: ->(_, offset) { $stdout.puts offset })
      3.times { |offset| m.enqueue(offset, nil, 0, offset) }
      wait_until("the others are done") { worked.size == 2 && m.total_acked == 1 }
    RUBY
    expect(result.status).to be_success, result.to_s
    expect(result.stdout).to eq("0\n")
  end

  it "is clean under a debugging malloc" do
    expect_child_to_pass(<<~RUBY, env: { "MALLOC_PERTURB_" => "165", "MALLOC_CHECK_" => "3" })
      5.times do
        m = manager(concurrency: 3, max_in_queue: 5)
        2_000.times { |offset| m.enqueue("key \#{offset % 300}", "message", offset % 5, offset) }
        m.revoke(3)
        m.shutdown
        GC.start
      end
      m = manager
      500.times { |offset| m.enqueue(offset, "message", 0, offset) }
      passed
    RUBY
  end
end
