# frozen_string_literal: true

require "spec_helper"

# What ends a flush early is its caller's, and the manager goes on. An `ack` that the flush waits for is cut off, and
# called again.
RSpec.describe WorkShaper::Manager, "#flush that is interrupted" do
  let(:too_late) { Class.new(StandardError) }

  # A manager in whose ack of offset 1 the acknowledger hangs, when somebody flushes.
  def hanging_manager
    @held = gate
    shaper = manager(offset_commit_period_ms: 2_147_483_647, ack: ->(_, offset) { @held.pass if offset == 1 })
    shaper.enqueue(:key, :message, 0, 0)
    eventually { shaper.total_acked == 1 }
    shaper.enqueue(:key, :message, 0, 1)
    settle(shaper)
    shaper
  end

  # The manager goes on, acknowledging what hung as well.
  def expect_unhurt(shaper)
    expect(shaper.stats).to include(fatal: nil, shutting_down: false)
    @held.open
    shaper.enqueue(:key, :message, 0, 2)
    drained(shaper)
    expect(calls.acks).to eq(calls.acks.sort)
    expect(calls.acks.uniq).to eq([0, 1, 2])
    expect(log.messages("ERROR")).to be_empty
    expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
  end

  classes = { "a StandardError" => Class.new(StandardError), "IOError" => IOError, "Interrupt" => Interrupt,
              "an Exception" => Class.new(NotImplementedError), "ShuttingDown" => WorkShaper::ShuttingDown,
              "Timeout::Error" => Timeout::Error, "SystemStackError" => SystemStackError }
  classes.each do |name, error|
    it "raises #{name} of a Timeout to its caller, and the manager goes on (I8)" do
      shaper = hanging_manager
      outcome = bounded do
        Timeout.timeout(0.1, error) { shaper.flush }
      rescue Exception => e # rubocop:disable Lint/RescueException
        e.class
      end
      expect(outcome).to eq(error)
      expect_unhurt(shaper)
    end

    it "raises #{name} of Thread#raise to its caller, and the manager goes on (I8)" do
      shaper = hanging_manager
      flushing = blocked_thread do
        shaper.flush
      rescue Exception => e # rubocop:disable Lint/RescueException
        e.class
      end
      flushing.raise(error, "enough")
      expect(value_of(flushing)).to eq(error)
      expect_unhurt(shaper)
    end
  end

  it "raises what Thread#raise makes of words (I8)" do
    shaper = hanging_manager
    flushing = blocked_thread { shaper.flush }
    flushing.raise("enough")
    expect { value_of(flushing) }.to raise_error(RuntimeError, "enough")
    expect_unhurt(shaper)
  end

  it "ends on a plain Timeout (I8)" do
    shaper = hanging_manager
    expect { Timeout.timeout(0.1) { shaper.flush } }.to raise_error(Timeout::Error)
    expect_unhurt(shaper)
  end

  it "ends on kill (I8)" do
    shaper = hanging_manager
    flushing = blocked_thread { shaper.flush }
    flushing.kill
    expect(flushing.join(ManagerHelpers::DEADLINE)).to equal(flushing)
    expect_unhurt(shaper)
  end

  it "still gives their answer to those who flush beside it (I8)" do
    shaper = hanging_manager
    killed, raised, waiting = Array.new(3) { blocked_thread { shaper.flush } }
    killed.kill
    raised.raise(too_late)
    expect { value_of(raised) }.to raise_error(too_late)
    @held.open
    expect(value_of(waiting)).to eq(1)
    expect_unhurt(shaper)
  end

  # A fiber that is left in the middle and never resumed: nothing of it ensures anything.
  it "keeps nobody from acknowledging when the fiber that flushes is dropped, its ack yielding (I5)" do
    expect_child_to_pass(<<~RUBY)
      m = manager(offset_commit_period_ms: 3_600_000, ack: lambda do |partition, offset|
        acked[partition] << offset
        Fiber.yield if Thread.current.thread_variable_get(:flusher)
        true
      end)
      2.times do |offset|
        m.enqueue(:key, nil, 0, offset)
        wait_until("worked") { worked.size == offset + 1 && m.stats[:running].zero? }
        wait_until("acked") { acked[0] == [0] } if offset.zero?
      end
      Thread.new do
        Thread.current.thread_variable_set(:flusher, true)
        Fiber.new { m.flush }.resume
      end.join
      GC.start
      3.times { |n| m.enqueue(:key, nil, 0, n + 2) }
      same(true, m.drain(timeout: 5), "drain")
      same((0..4).to_a, acked[0].uniq, "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "keeps nobody from acknowledging when an Enumerator that flushes is dropped (I5)" do
    expect_child_to_pass(<<~RUBY)
      m = manager(offset_commit_period_ms: 3_600_000)
      thread = Thread.new do
        enumerator = Enumerator.new { |all| loop { all << m.flush } }
        5.times do |offset|
          m.enqueue(:key, nil, 0, offset)
          enumerator.next
        end
      end
      ended(thread)
      GC.start
      same(true, m.drain(timeout: 5), "drain")
      same((0..4).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end
end
