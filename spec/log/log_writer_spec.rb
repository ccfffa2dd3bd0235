# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Lines of threads that must go on" do
  # A logger that gets stuck in the lines that say so, until the gate opens; and what it wrote.
  helpers = <<~RUBY
    require "securerandom"
    LOG = WorkShaper.const_get(:SafeLog)
    GATE = Queue.new
    LINES = []
    class Stuck
      %i[info warn error].each do |level|
        define_method(level) do |fields = nil, &block|
          fields ||= block.call
          GATE.pop if fields[:stuck]
          LINES << fields[:message]
          true
        end
      end
    end
    WorkShaper.logger = Stuck.new
    def line(name, **more) = LOG.info(message: name, **more)
    # The machine may stand still for longer than a line is waited for.
    def patient = set_constant(WorkShaper.const_get(:LogWriter), :PATIENCE, 30)
    def caught_up = wait_until("written") { threads_named("work_shaper log").empty? }
  RUBY

  def expect_lines_to_pass(script)
    expect_child_to_pass("#{self.class.metadata[:helpers]}\n#{script}")
  end

  metadata[:helpers] = helpers

  it "are written when the call returns, in order" do
    expect_lines_to_pass(<<~RUBY)
      patient
      100.times do |number|
        line(number)
        same(number, LINES.last, "last line")
      end
      same((0...100).to_a, LINES, "lines")
      caught_up
      passed
    RUBY
  end

  it "keep nobody for longer than a second, and the next ones nobody at all, until the logger has caught up" do
    expect_lines_to_pass(<<~RUBY)
      line(1)
      wait_until("written") { LINES == [1] && threads_named("work_shaper log").empty? }
      waited = seconds { line(2, stuck: true) }
      check(waited.between?(0.9, 5), "waited a second (\#{waited})")
      waited = seconds { 50.times { |number| line(3 + number) } }
      check(waited < 10, "did not wait (\#{waited})")
      same([1], LINES, "lines")
      GATE.close
      LOG.flush
      wait_until("written") { LINES.size == 52 }
      same((1..52).to_a, LINES, "lines")
      caught_up
      patient
      line(53)
      same(53, LINES.last, "last line")
      passed
    RUBY
  end

  it "are dropped and counted when more than 1,000 wait" do
    expect_lines_to_pass(<<~RUBY)
      line(0, stuck: true)
      1_200.times { |number| line(1 + number) }
      GATE.close
      caught_up
      same((0..999).to_a, LINES.grep(Integer), "lines")
      told = LINES.grep(/dropped/)
      same(1, told.size, "told")
      passed
    RUBY
  end

  it "do not deadlock when the logger writes such a line itself" do
    expect_lines_to_pass(<<~RUBY)
      patient
      chatty = Class.new(Stuck) do
        define_method(:warn) do |fields = nil, &block|
          super(fields, &block)
          LOG.info(message: "from inside")
        end
      end
      WorkShaper.logger = chatty.new
      waited = seconds { LOG.warn(message: "outer") }
      check(waited < 10, "did not wait (\#{waited})")
      same(["outer", "from inside"], LINES, "lines")
      passed
    RUBY
  end

  it "go on when somebody kills the thread that writes" do
    expect_lines_to_pass(<<~RUBY)
      patient
      stuck = asleep_in { line(1, stuck: true) }
      writer = wait_until("a writer") { threads_named("work_shaper log").first }
      wait_until("stuck") { GATE.num_waiting == 1 }
      writer.kill
      waited = seconds { ended(stuck) }
      check(waited < 10, "did not wait (\#{waited})")
      line(2)
      same([2], LINES, "lines")
      passed
    RUBY
  end

  it "of a forked child are its own only", if: Process.respond_to?(:fork) do
    expect_lines_to_pass(<<~RUBY)
      line(1, stuck: true)
      line(2)
      pid = fork do
        LINES.clear
        patient
        line(3)
        same([3], LINES, "lines of the child")
        exit!(0)
      end
      check(child_status(pid).success?, "the child")
      GATE.close
      caught_up
      same([1, 2], LINES, "lines of the parent")
      passed
    RUBY
  end

  it "are written inside a trap handler" do
    expect_lines_to_pass(<<~RUBY)
      trap(:USR1) { line(1) }
      Process.kill(:USR1, Process.pid)
      wait_until("written") { LINES == [1] }
      passed
    RUBY
  end

  it "are written when no thread can be started" do
    expect_lines_to_pass(<<~RUBY)
      Thread.define_singleton_method(:new) { |*| raise ThreadError, "can't create Thread" }
      line(1)
      line(2)
      same([1, 2], LINES, "lines")
      passed
    RUBY
  end
end
