# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#drain" do
  it "returns true at once when there is nothing" do
    shaper = manager
    expect(bounded { shaper.drain }).to be(true)
    expect(shaper.drain(timeout: 0)).to be(true)
  end

  it "waits until all is finished and acknowledged (I5)" do
    shaper = manager(concurrency: 5)
    300.times { |n| shaper.enqueue(n % 20, n, n % 3, n) }

    expect(bounded { shaper.drain }).to be(true)
    expect(shaper.stats).to include(waiting: 0, running: 0, in_flight: 0, total_acked: 300)
    expect(calls.of(:ack).size).to eq(300)
  end

  it "does not wait for the tick of the acknowledger" do
    held = gate
    shaper = manager(offset_commit_period_ms: 2_147_483_647, work: ->(message, _, _) { held.pass if message == :held })
    shaper.enqueue(:key, :free, 0, 0)
    eventually { shaper.total_acked == 1 }
    3.times { |n| shaper.enqueue(n, :held, 0, n + 1) }
    settle(shaper, running: 3)
    waiter = blocked_thread { shaper.drain }
    held.open
    expect(value_of(waiter)).to be(true)
    expect(calls.acks).to eq([0, 1, 2, 3])
  end

  it "waits for the last ack to return" do
    held = gate
    shaper = manager(ack: ->(_, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    eventually { held.waiting == 1 }
    waiter = blocked_thread { shaper.drain }

    expect(shaper.drain(timeout: 0.01)).to be(false)
    held.open
    expect(value_of(waiter)).to be(true)
  end

  it "returns false when the timeout passes, with the manager as it was" do
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    settle(shaper, running: 1)

    expect([0, 0.0, 0.02, 1r / 50].map { |timeout| shaper.drain(timeout: timeout) }).to all(be(false))
    expect(shaper.shutting_down?).to be(false)
    shaper.enqueue(:key, :message, 0, 1)
    held.open
    expect(bounded { shaper.drain(timeout: 10) }).to be(true)
  end

  [10**30, 1e300, Float::INFINITY, 2**63].each do |timeout|
    it "waits for ever, not for no time, with timeout: #{timeout}" do
      held = gate
      shaper = manager(work: ->(_, _, _) { held.pass })
      shaper.enqueue(:key, :message, 0, 0)
      settle(shaper, running: 1)
      waiter = blocked_thread { shaper.drain(timeout: timeout) }
      held.open
      expect(value_of(waiter)).to be(true)
    end
  end

  it "wakes everyone who waits" do
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    waiters = Array.new(5) { blocked_thread { shaper.drain } }
    held.open
    expect(waiters.map { |waiter| value_of(waiter) }).to all(be(true))
  end

  it "waits for what is added meanwhile" do
    shaper = nil
    shaper = manager(work: ->(n, _, _) { shaper.enqueue(n, n + 1, 0, n + 1) if n < 50 })
    shaper.enqueue(0, 0, 0, 0)
    expect(bounded { shaper.drain }).to be(true)
    expect(calls.acks).to eq((0..50).to_a)
  end

  it "returns true when a revoke took what it waited for" do
    held = gate
    shaper = manager(concurrency: 1, work: ->(message, _, _) { held.pass if message == :running })
    shaper.enqueue(:a, :running, :p, 0)
    shaper.enqueue(:b, :waiting, :p, 1)
    settle(shaper, running: 1, waiting: 1)
    waiter = blocked_thread { shaper.drain }
    shaper.revoke(:p)
    held.open
    expect(value_of(waiter)).to be(true)
    expect(calls.acks).to be_empty
  end

  it "returns false instead of waiting for what can never be acknowledged any more" do
    shaper = manager(ack: ->(_, _) { raise "no broker" })
    shaper.enqueue(:key, :message, 0, 0)
    expect(bounded { shaper.drain }).to be(false)
    expect(shaper.drain(timeout: 0)).to be(false)
  end

  it "works while and after shutting down" do
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    settle(shaper, running: 1)
    shaper.request_shutdown
    waiter = blocked_thread { shaper.drain }
    held.open
    expect(value_of(waiter)).to be(true)
    expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
    expect(bounded { shaper.drain }).to be(true)
  end

  it "raises in every callback instead of waiting for itself" do
    raised = {}
    shaper = nil
    try = lambda do |name|
      shaper.drain(timeout: 0)
    rescue StandardError => e
      raised[name] = e
    end
    shaper = manager(work: ->(message, _, _) { try.call(:work) && message == :failing && raise("failed") },
                     on_done: ->(_, _, _) { try.call(:on_done) }, on_error: ->(_, _, _, _) { try.call(:on_error) },
                     ack: ->(_, _) { try.call(:ack) && nil })
    shaper.enqueue(:a, :fine, 0, 0)
    shaper.enqueue(:a, :failing, 0, 1)
    drained(shaper)

    expect(raised.keys).to contain_exactly(:work, :on_done, :on_error, :ack)
    expect(raised.values).to all(be_a(WorkShaper::Error))
  end

  it "ends on Timeout and on Thread#raise and kill, and others still get their answer (I8)" do
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    expect { Timeout.timeout(0.02) { shaper.drain } }.to raise_error(Timeout::Error)
    killed, raised, waiting = Array.new(3) { blocked_thread { shaper.drain } }
    killed.kill
    raised.raise(IOError, "enough")
    expect(killed.join(ManagerHelpers::DEADLINE)).to equal(killed)
    expect { value_of(raised) }.to raise_error(IOError)
    held.open
    expect(value_of(waiting)).to be(true)
  end
end
