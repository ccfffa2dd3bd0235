# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#try_enqueue" do
  it "returns true when there is room, and the message is worked on" do
    shaper = manager
    expect(shaper.try_enqueue(:key, :message, 0, 0)).to be(true)
    drained(shaper)
    expect(calls.acks).to eq([0])
  end

  it "returns false at once when the sub key is full, and changes nothing (I7)" do
    held = gate
    shaper = manager(max_in_queue: 2, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, 0, 0, 0)
    settle(shaper, running: 1)
    2.times { |n| expect(shaper.try_enqueue(:key, n + 1, 0, n + 1)).to be(true) }

    before = steady_stats(shaper)
    expect(shaper.try_enqueue(:key, :too_many, 0, 3)).to be(false)
    expect(shaper.try_enqueue(:key, :too_many, :new_partition, 3)).to be(false)
    expect(steady_stats(shaper)).to eq(before)

    expect(shaper.try_enqueue(:other, :other, 0, 3)).to be(true)
    held.open
    drained(shaper)
    expect(calls.worked).to contain_exactly(0, 1, 2, :other)
  end

  it "returns false at once when the manager is full, and changes nothing (I7)" do
    held = gate
    shaper = manager(max_in_flight: 3, concurrency: 2, work: ->(_, _, _) { held.pass })
    3.times { |n| expect(shaper.try_enqueue(n, n, 0, n)).to be(true) }
    settle(shaper, running: 2, waiting: 1)

    before = steady_stats(shaper)
    expect(shaper.try_enqueue(:new_key, :too_many, :new_partition, 3)).to be(false)
    expect(steady_stats(shaper)).to eq(before)
  end

  it "returns true again as soon as there is room" do
    held = gate
    shaper = manager(max_in_flight: 1, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, 0, 0, 0)
    expect(shaper.try_enqueue(:key, 1, 0, 1)).to be(false)
    held.open
    drained(shaper)
    expect(shaper.try_enqueue(:key, 1, 0, 1)).to be(true)
  end

  it "takes the offset that was refused before, without calling it a duplicate" do
    held = gate
    shaper = manager(max_in_flight: 1, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, 0, 0, 0)
    3.times { expect(shaper.try_enqueue(:key, 1, 0, 1)).to be(false) }
    held.open
    drained(shaper)
    shaper.try_enqueue(:key, 1, 0, 1)
    drained(shaper)

    expect(calls.acks).to eq([0, 1])
    expect(log.messages("WARN")).to be_empty
  end

  it "returns false from inside a callback too" do
    results = []
    shaper = nil
    shaper = manager(max_in_flight: 1, work: ->(_, _, offset) { results << shaper.try_enqueue(:b, :m, 0, offset + 1) })
    shaper.enqueue(:a, :m, 0, 0)
    drained(shaper)
    expect(results).to eq([false])
  end

  it "raises ShuttingDown when shutting down, also when full" do
    held = gate
    shaper = manager(max_in_flight: 1, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, 0, 0, 0)
    shaper.request_shutdown
    expect { shaper.try_enqueue(:key, 1, 0, 1) }.to raise_error(WorkShaper::ShuttingDown)
  end
end
