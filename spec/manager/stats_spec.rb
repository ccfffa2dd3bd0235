# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#stats" do
  let(:fresh) do
    { total_enqueued: 0, total_acked: 0, total_failed: 0, total_refused: 0, total_dropped: 0, in_flight: 0,
      waiting: 0, running: 0, workers: 0, sub_keys: 0, retrying: 0, dead_letters_waiting: 0, total_retried: 0,
      total_skipped: 0, total_dead_lettered: 0, stuck: [], shutting_down: false, fatal: nil, partitions: {},
      breaker: a_hash_including(state: :closed), total_attempts: 0, failures: {}, hot_keys: [],
      events_dropped: Integer, durations: { queue: have_attributes(count: 0), work: have_attributes(count: 0) },
      rates: { enqueued: nothing, attempts: nothing } }
  end

  let(:nothing) { { last_second: 0.0, last_minute: 0.0, last_15_minutes: 0.0 } }

  it "holds every field on a new manager, all zero" do
    expect(manager.stats).to match(fresh)
  end

  it "tells what waits, runs and is in flight" do
    held = gate
    shaper = manager(concurrency: 2, work: ->(message, _, _) { held.pass if message == :held })
    shaper.enqueue(:a, :held, 0, 10)
    shaper.enqueue(:b, :free, 0, 11)
    settle(shaper, running: 1)
    shaper.enqueue(:b, :held, 1, 5)
    settle(shaper, running: 2)
    3.times { |n| shaper.enqueue(:c, :free, 1, 6 + n) }

    stats = steady_stats(shaper)
    expect(stats).to include(total_enqueued: 6, total_acked: 0, in_flight: 6, waiting: 3, running: 2, workers: 2,
                             sub_keys: 3, shutting_down: false)
    expect(stats[:partitions]).to eq(
      0 => { last_acked: nil, received: 2, waiting: 0, running: 1, finished_beyond: 1, oldest_unfinished: 10,
             oldest_sub_key: :a, oldest_attempt: 1, oldest_worker: "work_shaper worker 1" },
      1 => { last_acked: nil, received: 4, waiting: 3, running: 1, finished_beyond: 0, oldest_unfinished: 5,
             oldest_sub_key: :b, oldest_attempt: 1, oldest_worker: "work_shaper worker 2" }
    )
  end

  it "tells what was acknowledged, and names nothing as unfinished then" do
    shaper = manager
    4.times { |n| shaper.enqueue(n, n, :p, n * 2) }
    drained(shaper)

    stats = shaper.stats
    expect(stats).to include(total_enqueued: 4, total_acked: 4, in_flight: 0, waiting: 0, running: 0, sub_keys: 0)
    expect(stats[:partitions].keys).to eq([:p])
    expect(stats[:partitions][:p]).to include(last_acked: 6, waiting: 0, oldest_unfinished: nil, oldest_sub_key: nil,
                                              oldest_age_sec: nil)
  end

  it "names the oldest unfinished offset, its sub key and its age, and goes on to the next" do
    gates = Array.new(3) { gate }
    shaper = manager(concurrency: 3, work: ->(n, _, _) { gates[n].pass })
    3.times { |n| shaper.enqueue("key #{n}", n, 0, n + 100) }
    settle(shaper, running: 3)
    oldest = -> { shaper.stats[:partitions][0].values_at(:oldest_unfinished, :oldest_sub_key) }

    expect(oldest.call).to eq([100, "key 0"])
    gates[1].open
    settle(shaper, running: 2)
    expect(oldest.call).to eq([100, "key 0"])
    gates[0].open
    settle(shaper, running: 1)
    expect(oldest.call).to eq([102, "key 2"])
  end

  it "names an oldest sub key of nil as nil, and one that still waits" do
    held = gate
    shaper = manager(concurrency: 1, work: ->(_, _, _) { held.pass })
    shaper.enqueue(:busy, :m, :p, 0)
    settle(shaper, running: 1)
    shaper.enqueue(nil, :m, :q, 3)
    expect(shaper.stats[:partitions][:q]).to include(oldest_unfinished: 3, oldest_sub_key: nil, waiting: 1,
                                                     oldest_age_sec: be >= 0.0)
  end

  it "measures the age in seconds since enqueue, as a Float that grows" do
    # The age is exact to some 10 ms: a tick of the system's coarse clock, at each end of it.
    slack = 0.012
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    began = ManagerHelpers.now
    shaper.enqueue(:key, :m, 0, 0)
    first = shaper.stats[:partitions][0][:oldest_age_sec]
    elapsed = ManagerHelpers.now - began
    expect(first).to be_a(Float).and be_between(0.0, elapsed + slack)

    eventually { ManagerHelpers.now - began > 0.05 }
    second = shaper.stats[:partitions][0][:oldest_age_sec]
    expect(second).to be_between(first + 0.05 - elapsed - slack, ManagerHelpers.now - began + slack)
  end

  it "counts failures of work and of on_done, each once" do
    shaper = manager(work: ->(message, _, _) { raise "failed" if message == :work },
                     on_done: ->(message, _, _) { raise "failed" if message == :on_done })
    %i[fine work on_done fine].each_with_index { |message, n| shaper.enqueue(:key, message, 0, n) }
    drained(shaper)
    expect(shaper.stats).to include(total_failed: 2, total_acked: 4, total_refused: 0)
  end

  it "counts what ack refused" do
    shaper = manager(acks: :every, ack: ->(_, offset) { offset.odd? })
    10.times { |n| shaper.enqueue(n, n, 0, n) }
    drained(shaper)
    expect(shaper.stats).to include(total_refused: 5, total_acked: 10)
  end

  it "is a new Hash each time, which the caller may change" do
    shaper = manager
    shaper.enqueue(:key, :m, "p", 0)
    drained(shaper)
    stats = shaper.stats
    stats[:partitions]["p"][:last_acked] = 99
    stats[:partitions].clear
    stats.clear
    expect(shaper.stats[:partitions]["p"]).to include(last_acked: 0)
    expect(shaper.stats.keys).to match_array(fresh.keys)
  end

  it "agrees with total_enqueued, total_acked, shutting_down and shutting_down?" do
    shaper = manager
    expect([shaper.total_enqueued, shaper.total_acked, shaper.shutting_down, shaper.shutting_down?])
      .to eq([0, 0, false, false])
    3.times { |n| shaper.enqueue(n, n, 0, n) }
    drained(shaper)
    shaper.shutdown
    expect([shaper.total_enqueued, shaper.total_acked, shaper.shutting_down, shaper.shutting_down?])
      .to eq([3, 3, true, true])
    expect(shaper.stats).to include(total_enqueued: 3, total_acked: 3, shutting_down: true)
  end

  it "can be read from every callback and from many threads, and its counters always agree" do
    wrong = []
    shaper = nil
    check = lambda do
      stats = shaper.stats
      sum = stats[:total_acked] + stats[:total_dropped] + stats[:in_flight]
      wrong << stats if sum != stats[:total_enqueued] || stats[:running] > 4 || stats[:waiting].negative?
    end
    shaper = manager(concurrency: 4, work: ->(n, _, _) { check.call || (raise "failed" if (n % 10).zero?) },
                     on_done: ->(_, _, _) { check.call }, on_error: ->(_, _, _, _) { check.call },
                     ack: ->(_, _) { check.call && nil })
    stopped = false
    readers = Array.new(2) { in_thread { check.call until stopped } }
    300.times { |n| shaper.enqueue(n % 7, n, n % 2, n) }
    drained(shaper)
    stopped = true
    readers.each { |reader| value_of(reader) }

    expect(wrong).to be_empty
    expect(calls.errors.map(&:message).uniq).to eq(["failed"])
  end
end
