# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "limits" do
  # How many of one sub key fit beside the one that runs.
  def fitting_in_queue(shaper)
    shaper.enqueue(:filling, :held, 0, 0)
    settle(shaper, running: 1)
    (1..200).take_while { |offset| shaper.try_enqueue(:filling, :held, 0, offset) }.size
  end

  [1, 2, 7].each do |limit|
    it "lets exactly max_in_queue: #{limit} of a sub key wait beside the one that runs (I7)" do
      held = gate
      shaper = manager(max_in_queue: limit, work: ->(_, _, _) { held.pass })
      expect(fitting_in_queue(shaper)).to eq(limit)
      expect(shaper.stats).to include(running: 1, waiting: limit)
    end

    it "lets exactly max_in_flight: #{limit} in, of however many sub keys (I7)" do
      held = gate
      shaper = manager(max_in_flight: limit, work: ->(_, _, _) { held.pass })
      expect((0..50).take_while { |n| shaper.try_enqueue(n, n, n % 2, n) }.size).to eq(limit)
      expect(shaper.stats[:in_flight]).to eq(limit)
    end

    it "runs exactly concurrency: #{limit} at the same time" do
      held = gate
      shaper = manager(concurrency: limit, work: ->(_, _, _) { held.pass })
      (limit + 3).times { |n| shaper.enqueue(n, n, 0, n) }
      settle(shaper, running: limit, waiting: 3)
      eventually { held.waiting == limit }
      expect(worker_threads.size).to eq(limit)
      expect(shaper.stats[:workers]).to eq(limit)
    end
  end

  it "counts a sub key over all its partitions" do
    held = gate
    shaper = manager(max_in_queue: 2, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:key, :m, :p, 0)
    settle(shaper, running: 1)
    expect(%i[q r p s].map do |partition|
      shaper.try_enqueue(:key, :m, partition, 1)
    end).to eq([true, true, false, false])
    expect(shaper.stats[:partitions].keys).to contain_exactly(:p, :q, :r)
  end

  it "counts each sub key on its own" do
    held = gate
    shaper = manager(max_in_queue: 1, concurrency: 3, work: ->(_, _, _) { held.pass })
    3.times { |key| shaper.enqueue(key, :m, 0, key) }
    settle(shaper, running: 3)
    3.times { |key| expect(shaper.try_enqueue(key, :m, 0, 10 + key)).to be(true) }
    3.times { |key| expect(shaper.try_enqueue(key, :m, 0, 20 + key)).to be(false) }
  end

  it "counts what no worker is free for as waiting" do
    held = gate
    shaper = manager(max_in_queue: 2, concurrency: 1, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:busy, :m, 0, 0)
    settle(shaper, running: 1)
    expect(Array.new(3) { |n| shaper.try_enqueue(:key, :m, 0, n + 1) }).to eq([true, true, false])
  end

  it "works with every limit at 1" do
    shaper = manager(max_in_queue: 1, max_in_flight: 1, concurrency: 1, offset_commit_period_ms: 1)
    100.times { |n| shaper.enqueue(n % 3, n, n % 2, n) }
    drained(shaper)
    expect(calls.started).to eq((0...100).to_a)
    expect(shaper.stats).to include(total_acked: 100, workers: 1)
  end

  it "takes the largest settings without taking memory or threads for them" do
    largest = 2_147_483_647
    shaper = manager(max_in_queue: largest, max_in_flight: largest, concurrency: largest)
    expect(shaper.stats[:workers]).to eq(0)
    500.times { |n| shaper.enqueue(n % 3, n, 0, n) }
    drained(shaper)
    expect(worker_threads.size).to be <= 500
    expect(calls.acks).to eq((0...500).to_a)
  end

  describe "by default" do
    it "lets 25 of a sub key wait" do
      held = gate
      expect(fitting_in_queue(manager(work: ->(_, _, _) { held.pass }))).to eq(25)
    end

    it "runs 25 at the same time" do
      held = gate
      shaper = manager(work: ->(_, _, _) { held.pass })
      30.times { |n| shaper.enqueue(n, n, 0, n) }
      settle(shaper, running: 25, waiting: 5)
      expect(shaper.stats[:workers]).to eq(25)
    end

    it "lets 10,000 in" do
      held = gate
      shaper = manager(work: ->(_, _, _) { held.pass })
      expect((0..11_000).take_while { |n| shaper.try_enqueue(n, n, 0, n) }.size).to eq(10_000)
    end
  end
end
