# frozen_string_literal: true

require "spec_helper"

# A kill or a Timeout is an exception like another while Ruby code runs that the extension has called: what drops the
# errors of that code must not drop these.
RSpec.describe "What is aimed at a thread while it runs Ruby code of others" do
  # ActiveSupport is asked once a tick whether anyone listens, by the acknowledger or by who enqueues.
  active_support = <<~RUBY
    module ActiveSupport
      module Notifications
        class << self
          attr_accessor :asked # what runs then

          def notifier = self
          def listening?(_event) = (asked&.call; false)
          def instrument(*) = nil
        end
      end
    end
    WorkShaper.instrumenter = ActiveSupport::Notifications
    inside = Queue.new
    ends = -> { sleep 0.001 while Thread.main.alive? } # until all threads were told to die
    in_acknowledger = -> { Thread.current.name == "work_shaper acknowledger" }
  RUBY

  def expect_soon_over(script)
    result = run_ruby("#{script}\nputs now\n$stdout.flush", limit: 8)
    expect(result.status.exitstatus).to eq(0), -> { result.to_s }
    expect(result.ended_at - Float(result.stdout.lines.last)).to be < 4, -> { result.to_s }
  end

  it "ends an acknowledger that is about to call ack when the process ends (I8)" do
    expect_soon_over(<<~RUBY)
      #{active_support}
      ActiveSupport::Notifications.asked = -> { inside << true && ends.call if in_acknowledger.call }
      m = manager(ack: ->(*) { sleep })
      inside.pop
      m.enqueue(:key, nil, 0, 0)
      wait_until("finished") { worked.size == 1 && m.stats[:running].zero? }
    RUBY
  end

  it "ends an acknowledger although an ensure raises in place of its kill (I8)" do
    expect_soon_over(<<~RUBY)
      #{active_support}
      Thread.report_on_exception = false
      gate = Queue.new
      asked = false
      gone = Class.new(NoMemoryError) do
        define_method(:message) do
          next "gone" if asked || !in_acknowledger.call

          asked = true
          begin
            inside << true
            sleep
          ensure
            raise "in place of the kill"
          end
        end
      end
      works = lambda do |_, _, offset|
        raise gone if offset == 1

        gate.pop
        worked << offset
      end
      m = manager(concurrency: 2, work: works, ack: ->(*) { sleep })
      2.times { |offset| m.enqueue(offset, nil, 0, offset) }
      inside.pop # it logs why the manager shuts down
      gate << true
      wait_until("finished") { worked.size == 1 && m.stats[:running].zero? }
    RUBY
  end

  it "kills an acknowledger, which is replaced" do
    expect_child_to_pass(<<~RUBY)
      #{active_support}
      let_go = Queue.new
      ActiveSupport::Notifications.asked = -> { (inside << Thread.current) && let_go.pop if in_acknowledger.call }
      m = manager
      victim = inside.pop
      victim.kill
      ActiveSupport::Notifications.asked = nil
      let_go << true
      ended(victim)
      m.enqueue(:key, nil, 0, 0)
      expect_intact(m)
      passed
    RUBY
  end

  it "is raised in a thread that enqueues, and nothing has changed" do
    expect_child_to_pass(<<~RUBY)
      #{active_support}
      let_go = Queue.new
      m = manager
      producer = Thread.new do
        Thread.current.report_on_exception = false
        ActiveSupport::Notifications.asked = -> { (inside << true) && let_go.pop if Thread.current == producer }
        (0..).each { |offset| m.enqueue(:key, nil, 0, offset) && m.drain }
      end
      inside.pop
      before = m.total_enqueued
      producer.raise(Timeout::Error, "too late")
      ActiveSupport::Notifications.asked = nil
      let_go << true
      raised(Timeout::Error) { ended(producer) }
      same(before, m.total_enqueued, "enqueued")
      expect_intact(m)
      passed
    RUBY
  end

  it "is told apart from an error of ActiveSupport, which keeps nobody from going on" do
    expect_child_to_pass(<<~RUBY)
      #{active_support}
      calls = 0
      ActiveSupport::Notifications.asked = -> { calls += 1; raise "a broken notifier" }
      m = manager
      3.times { |offset| m.enqueue(:key, nil, 0, offset) && m.drain }
      same([0, 1, 2], acked[0], "acked")
      check(calls.positive?, "asked")
      expect_intact(m)
      passed
    RUBY
  end

  describe "while it is asked whether it lives, because its block has raised" do
    # The thread that is `armed` stops where it is asked next, until `aim` has had its way with it.
    status = <<~RUBY
      armed = nil
      inside = Queue.new
      let_go = Queue.new
      Thread.prepend(Module.new do
        define_method(:status) do
          if equal?(armed) && equal?(Thread.current)
            armed = nil
            inside << self
            let_go.pop
          end
          super()
        end
      end)
      aim = lambda do |&aimed|
        inside.pop.tap do |thread|
          aimed.call(thread)
          let_go << true
        end
      end
    RUBY

    it "kills a worker, which says nothing of what its block has raised" do
      expect_child_to_pass(<<~RUBY)
        #{status}
        stream = WorkShaper.stream([1], give_up: :collect) { (armed = Thread.current) && raise("no") }
        killed = nil
        killer = Thread.new { killed = aim.call(&:kill) }
        failures = raised(WorkShaper::Failures) { stream.to_a }
        same(1, failures.size, "failures")
        killer.join
        ended(killed)
        passed
      RUBY
    end

    it "kills a thread that reads, whose key has raised" do
      expect_child_to_pass(<<~RUBY)
        #{status}
        key = ->(_) { (armed = Thread.current) && raise("no") }
        stream = WorkShaper.stream([1], key: key, give_up: :collect) { |n| n }
        survived = false
        reader = Thread.new do
          stream.to_a
        rescue StandardError
          survived = true
        end
        same(reader, aim.call(&:kill), "killed")
        ended(reader)
        same(false, survived, "survived")
        passed
      RUBY
    end

    it "is the failure of what is worked on" do
      expect_child_to_pass(<<~RUBY)
        #{status}
        errors = []
        m = manager(attempts: 1, give_up: :skip, on_error: ->(error, *) { errors << error.class },
                    work: ->(_, place, _) { place == :after || ((armed = Thread.current) && raise("no")) })
        m.enqueue(:key, nil, 0, 0)
        aim.call { |thread| thread.raise(KeyError, "late") }
        m.drain
        same([KeyError], errors, "errors")
        expect_intact(m)
        passed
      RUBY
    end
  end
end
