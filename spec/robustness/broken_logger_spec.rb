# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Errors and loggers that are broken themselves" do
  # What is wrong with the error that work raises while nobody but the log sees it.
  errors = {
    "whose #message raises" => "def message = raise('message')",
    "whose #message is no String" => "def message = 17",
    "whose #to_s raises" => "def to_s = raise('to_s')",
    "whose #inspect raises" => "def inspect = raise('inspect')",
    "whose #backtrace raises" => "def backtrace = raise('backtrace')",
    "whose #backtrace is nil" => "def backtrace = nil",
    "whose #full_message raises" => "def full_message(**) = raise('full_message')",
    "whose #message is invalid bytes" => 'def message = "\\\\xFF\\\\xFE"',
    "whose class has no name" => "def self.name = nil",
    "whose #class raises" => "def class = raise('class')",
    "whose #is_a? lies" => "def is_a?(*) = false",
    "whose #message throws" => "def message = throw(:somewhere)"
  }
  errors.each do |name, code|
    it "finish the offset of an error #{name}" do
      expect_child_to_pass(<<~RUBY)
        broken = Class.new(StandardError) { #{code} }
        [nil, ->(*) { raise broken }].each_with_index do |on_error, p|
          m = manager(work: ->(*) { raise broken }, on_error: on_error, concurrency: 2)
          3.times { |offset| m.enqueue(:key, nil, p, offset) }
          same(true, m.drain(timeout: 10), "drain")
          same([0, 1, 2], acked[p], "acked")
          expect_intact(m)
        end
        m = manager(ack: ->(*) { broken.new })
        m.enqueue(:key, nil, 0, 0)
        same(true, m.drain(timeout: 10), "drain")
        same(1, m.stats[:total_refused], "refused")
        expect_intact(m)
        m = manager(ack: ->(*) { raise broken })
        m.enqueue(:key, nil, 0, 0)
        wait_until("shutting down") { m.shutting_down }
        expect_intact(m, fatal: true)
        passed
      RUBY
    end
  end

  # Everything that is logged happens: errors, refusals, repeated offsets, shutdown, reports.
  busy = <<~RUBY
    def busy(m, gate)
      5.times { |offset| m.enqueue(offset % 2, offset, 0, offset) }
      3.times { |offset| m.enqueue(offset % 2, 9, 0, offset) }
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      same(8, m.total_acked, "acked")
    end

    def busy_manager(gate)
      manager(work: ->(message, *) { gate.pop; raise "error" if message == 1 }, ack: ->(_, offset) { offset != 3 },
              concurrency: 2)
    end
  RUBY

  { "StandardError" => "raise('logger')", "Exception" => "raise(Exception, 'logger')", "throw" => "throw(:logger)",
    "IOError of a closed stream" => "raise(IOError, 'closed stream')" }.each do |name, code|
    it "do not stop the manager when every method of the logger ends in #{name}" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        #{busy}
        class BrokenLogger < BasicObject
          def method_missing(*) = #{code.sub("raise(", "::Kernel.raise(::").sub("raise(::'", "raise('").sub("throw(", "::Kernel.throw(")}
          def respond_to_missing?(*) = true
        end
        WorkShaper.logger = BrokenLogger.new
        gate = Queue.new
        m = busy_manager(gate)
        if #{name == "Exception"}
          # What is no StandardError may end the manager, but nothing may hang.
          8.times { |offset| m.try_enqueue(offset % 2, offset % 3, 0, offset) rescue WorkShaper::ShuttingDown }
          gate.close
          ended(Thread.new { m.shutdown(timeout: 10) rescue Exception })
          wait_until("no thread left") { manager_threads.empty? }
        else
          busy(m, gate)
          expect_intact(m)
        end
        passed
      RUBY
    end
  end

  it "do not deadlock when the logger uses the manager" do
    expect_child_to_pass(<<~RUBY)
      #{busy}
      gate = Queue.new
      m = busy_manager(gate)
      calls = 0
      looking = Class.new(Logger) do
        define_method(:add) do |*, &block|
          block&.call
          calls += 1
          m.stats
          m.flush
          m.total_acked
          m.shutting_down
          true
        end
      end
      WorkShaper.logger = looking.new(nil)
      busy(m, gate)
      m.report(detailed: true)
      expect_intact(m)
      check(calls.positive?, "something was logged")
      passed
    RUBY
  end

  # I3 to the letter: between the choice of an offset and `ack` no other code may run, not even a logger.
  it "acknowledge nothing above an offset that the logger enqueues" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: ->(message, _, offset) { gate.pop if message == :held; worked << offset }, concurrency: 3)
      late = false
      enqueuing = Class.new(Logger) do
        define_method(:add) do |level, *rest, &block|
          if level == Logger::WARN && !late
            late = true
            m.enqueue(:late, :held, 0, 5)
          end
          true
        end
      end
      WorkShaper.logger = enqueuing.new(nil)
      held = Queue.new
      m.enqueue(:key, nil, 1, 0)
      2.times { m.enqueue(:key, nil, 0, 10) }
      wait_until("the logger was called") { late }
      wait_until("held") { gate.num_waiting == 1 }
      before = acked[0].dup
      m.enqueue(:key, nil, 1, 1)
      m.flush
      wait_until("the other partition goes on") { acked[1] == [0, 1] }
      same(before, acked[0], "acked since 5 is at work")
      check(before.empty? || before == [10], "acked before: \#{before}")
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      expect_intact(m)
      passed
    RUBY
  end
end
