# frozen_string_literal: true

require "spec_helper"
require "tempfile"

# Some programs are nothing but an at_exit block: minitest's autorun, Sinatra's classic style.
RSpec.describe "A manager inside an at_exit block" do
  # What such a program does in the course of its life; it says how far it came.
  whole_life = <<~RUBY
    in_the_end = lambda do
      m = manager(concurrency: 4)
      200.times { |offset| m.enqueue(offset % 9, nil, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      same((0...200).to_a, acked[0], "acked")
      wait_for_sleep(*workers)
      (workers + [acknowledger]).each { |thread| thread.kill.join }
      50.times { |offset| m.enqueue(offset % 9, nil, 1, offset) }
      same(true, m.drain(timeout: 10), "drain after kills")
      same((0...50).to_a, acked[1], "acked after kills")
      gate = Queue.new
      full = manager(max_in_flight: 1, work: gated(gate, 0))
      full.enqueue(:key, nil, :full, 0)
      blocked = asleep_in { full.enqueue(:key, nil, :full, 1) }
      drain = asleep_in { full.drain }
      gate.close
      same([true, true], [ended(blocked).value, ended(drain).value], "who waited")
      m.flush
      m.revoke(1)
      same([true, true], [m, full].map { |one| one.shutdown(timeout: 10) }, "shutdown")
      other = manager
      other.enqueue(:key, nil, 2, 0)
      same(true, other.drain(timeout: 10), "drain of another")
      passed
    end
  RUBY

  it "works when the block is registered after work_shaper is loaded" do
    expect_child_to_pass("#{whole_life}\nat_exit(&in_the_end)")
  end

  it "works inside an at_exit block of an at_exit block" do
    expect_child_to_pass("#{whole_life}\nat_exit { at_exit { at_exit(&in_the_end) } }")
  end

  # Those that are registered first come last.
  it "works when the block is registered before work_shaper is loaded" do
    Tempfile.create(["before", ".rb"]) do |file|
      file.write("at_exit { $in_the_end.call }")
      file.close
      expect_child_to_pass(<<~RUBY, arguments: ["-r", file.path])
        #{whole_life}
        at_exit { manager.tap { |m| m.enqueue(:key, nil, 3, 0) }.drain }
        $in_the_end = in_the_end
      RUBY
    end
  end

  it "works when manager and threads were there before" do
    expect_child_to_pass(<<~RUBY)
      m = manager(concurrency: 4)
      100.times { |offset| m.enqueue(offset % 9, nil, 0, offset) }
      same(true, m.drain(timeout: 10), "drain")
      at_exit do
        wait_for_sleep(*workers)
        (workers + [acknowledger]).each { |thread| thread.kill.join }
        100.times { |offset| m.enqueue(offset % 9, nil, 0, 100 + offset) }
        same(true, m.drain(timeout: 10), "drain at exit")
        same((0...200).to_a, acked[0], "acked")
        expect_intact(m)
        passed
      end
    RUBY
  end

  it "works on a thread that the block starts" do
    expect_child_to_pass("#{whole_life}\nat_exit { Thread.new(&in_the_end).join }")
  end

  { "exit 0" => [0, nil], "exit 3" => [3, nil], "raise SystemExit.new(4)" => [4, nil],
    "Process.kill(:TERM, Process.pid); sleep" => [nil, 15] }.each do |ending, (status, signal)|
    it "works when the process ends by #{ending}" do
      result = run_ruby("#{whole_life}\nat_exit(&in_the_end)\n#{ending}")
      expect(result.stdout).to end_with("passed\n"), -> { result.to_s }
      expect(result.stderr).to eq(""), -> { result.to_s }
      expect([result.status.exitstatus, result.status.termsig]).to eq([status, signal]), -> { result.to_s }
    end
  end

  it "works as often as an exit inside a block begins the end anew, and the last status counts" do
    result = run_ruby(<<~RUBY)
      #{whole_life}
      at_exit(&in_the_end)
      m = manager
      3.times do |n|
        at_exit do
          m.enqueue(n, nil, :exits, n)
          same(true, m.drain(timeout: 10), "drain")
          exit 7 + n
        end
      end
    RUBY
    expect(result.stdout).to end_with("passed\n"), -> { result.to_s }
    expect(result.status.exitstatus).to eq(7), -> { result.to_s }
  end

  it "works in the at_exit block of a forked child, which has none of its parent" do
    expect_child_to_pass(<<~RUBY)
      #{whole_life}
      m = manager
      m.enqueue(:key, nil, :parent, 0)
      same(true, m.drain(timeout: 10), "drain")
      read, write = IO.pipe
      pid = fork do
        at_exit do
          $stdout.reopen(write)
          in_the_end.call
        end
      end
      write.close
      check(child_status(pid).success?, "the child ends well")
      same("passed\\n", read.read, "word of the child")
      expect_intact(m)
      passed
    RUBY
  end

  it "is over in good time, although what comes after it is the end of all threads" do
    result = run_ruby(<<~RUBY)
      Thread.report_on_exception = false
      m = manager
      begun = Queue.new
      Thread.new do
        begun << true
        sleep
      ensure
        m.enqueue(:late, nil, 0, 1)
        m.drain
      end
      begun.pop
      at_exit do
        m.enqueue(:key, nil, 0, 0)
        same(true, m.drain(timeout: 10), "drain")
        puts now
      end
    RUBY
    expect(result.status.exitstatus).to eq(0), -> { result.to_s }
    expect(result.ended_at - Float(result.stdout)).to be < 4
  end
end
