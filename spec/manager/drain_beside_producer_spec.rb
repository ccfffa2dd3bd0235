# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#drain beside producers" do
  # Enqueues until the example is over; something is always in flight.
  def producer(shaper, keys:, partitions: 1, from: 0)
    @stop = false
    in_thread do
      offset = from
      until @stop
        shaper.enqueue(offset % keys, offset, offset % partitions, offset)
        offset += 1
      end
    end
  end

  [[:every, 5], [:latest, 5], [:every, 2_147_483_647], [:latest, 2_147_483_647]].each do |acks, tick|
    { "one partition" => 1, "several partitions" => 3 }.each do |what, partitions|
      it "returns when what was there is acknowledged, with acks: #{acks.inspect}, a tick of #{tick}, #{what} (I5)" do
        shaper = manager(acks: acks, offset_commit_period_ms: tick, concurrency: 5, max_in_flight: 60,
                         work: ->(*) { sleep 0.001 }, ack: ->(*) { sleep 0.0005 })
        # Three sub keys of which messages wait all the time.
        producing = producer(shaper, keys: 3, partitions: partitions)
        eventually { shaper.total_enqueued > 100 && shaper.stats[:in_flight] > 10 }
        5.times do
          before = shaper.total_enqueued
          expect(bounded { shaper.drain }).to be(true)
          expect(shaper.total_acked).to be >= before
          expect(producing).to be_alive
        end
        @stop = true
        value_of(producing)
        drained(shaper)
      end
    end
  end

  it "returns in every thread that drains (I5)" do
    shaper = manager(concurrency: 5, max_in_flight: 60, work: ->(*) { sleep 0.001 })
    producing = producer(shaper, keys: 50)
    eventually { shaper.stats[:in_flight] > 30 }
    enqueued = shaper.total_enqueued
    drains = Array.new(5) { in_thread { shaper.drain } }
    expect(drains.map { |draining| value_of(draining) }).to eq([true] * 5)
    expect(shaper.total_acked).to be >= enqueued
    expect(producing).to be_alive
    @stop = true
    value_of(producing)
  end

  it "returns although another sub key never comes to an end (I5)" do
    gates = gates_by_name
    shaper = manager(concurrency: 2, work: ->(message, *) { gates[message].pass if message.is_a?(Symbol) })
    5.times { |n| shaper.enqueue(:old, n, 0, n) }
    settle(shaper)
    shaper.enqueue(:old, :held, 0, 5)
    settle(shaper, running: 1)
    draining = blocked_thread { shaper.drain }
    shaper.enqueue(:new, :never, 1, 0)
    settle(shaper, running: 2)
    gates[:held].open
    expect(value_of(draining)).to be(true)
    expect(calls.acks(0)).to eq((0..5).to_a)
    expect(shaper.stats[:running]).to eq(1)
  end

  it "waits for what the work of a message from before enqueues, beside a producer (I5)" do
    shaper = nil
    held = gate
    shaper = manager(concurrency: 4, max_in_flight: 100, work: lambda do |message, _, offset|
      held.pass if message == :first
      more = message == :first || (message == :chain && offset < 20)
      shaper.enqueue(:chain, :chain, :chain, offset + 1, timeout: 10) if more
      sleep 0.001
    end)
    shaper.enqueue(:chain, :first, :chain, 0)
    settle(shaper, running: 1)
    producing = producer(shaper, keys: 10)
    draining = blocked_thread { shaper.drain }
    held.open
    expect(value_of(draining)).to be(true)
    expect(calls.acks(:chain)).to eq((0..20).to_a)
    @stop = true
    value_of(producing)
  end

  it "returns false with a timeout when what was there takes longer" do
    held = gate
    work = ->(message, *) { message == :held ? held.pass : sleep(0.001) }
    shaper = manager(concurrency: 5, max_in_flight: 60, work: work)
    shaper.enqueue(:held, :held, :p, 0)
    producing = producer(shaper, keys: 10)
    eventually { shaper.total_acked > 20 }
    expect(bounded { shaper.drain(timeout: 0.2) }).to be(false)
    held.open
    expect(bounded { shaper.drain(timeout: 10) }).to be(true)
    expect(calls.acks(:p)).to eq([0])
    @stop = true
    value_of(producing)
  end
end
