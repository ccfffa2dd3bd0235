# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#revoke" do
  # A manager whose messages wait for a gate of their own, but :free ones.
  def gated_manager(**settings)
    @gates_by_message = gates_by_name
    manager(work: ->(message, _, _) { @gates_by_message[message].pass unless message == :free }, **settings)
  end

  def finish(message)
    @gates_by_message[message].open
  end

  it "returns [] for a partition that was never seen, nil too" do
    shaper = manager
    expect([:unknown, nil, "p", 0].map { |partition| shaper.revoke(partition) }).to all(eq([]))
    expect(shaper.stats[:total_dropped]).to eq(0)
  end

  it "drops what waits and returns it in the order of enqueue, as it was given" do
    shaper = gated_manager(concurrency: 1)
    shaper.enqueue(:running, :running, :p, 0)
    settle(shaper, running: 1)
    messages = Array.new(6) { Object.new }
    keys = %i[a b a c b a]
    messages.each_with_index { |message, n| shaper.enqueue(keys[n], message, :p, (n + 1) * 10) }
    shaper.enqueue(:a, :free, :q, 0)

    dropped = shaper.revoke(:p)
    expect(dropped).to eq(messages.each_with_index.map { |message, n| [keys[n], message, :p, (n + 1) * 10] })
    expect(dropped.map { |entry| entry[1].__id__ }).to eq(messages.map(&:__id__))
    finish(:running)
    drained(shaper)
    expect(calls.started).to eq(%i[running free])
    expect(calls.of(:ack).map { |call| [call.partition, call.offset] }).to eq([[:q, 0]])
  end

  it "keeps the order of enqueue, not of offsets, in what it returns" do
    shaper = gated_manager(concurrency: 1)
    shaper.enqueue(:running, :running, :p, 50)
    settle(shaper, running: 1)
    [9, 3, 3, 7].each { |offset| shaper.enqueue(:key, :m, :p, offset) }
    expect(shaper.revoke(:p).map(&:last)).to eq([9, 3, 3, 7])
  end

  it "never acknowledges what was running, nor what was finished behind it (I6)" do
    shaper = gated_manager
    shaper.enqueue(:a, :running, :p, 0)
    3.times { |n| shaper.enqueue(n, :free, :p, n + 1) }
    settle(shaper, running: 1)
    expect(shaper.revoke(:p)).to eq([])
    finish(:running)
    drained(shaper)
    bounded { shaper.flush }

    expect(calls.acks).to be_empty
    expect(calls.of(:done).size).to eq(4)
    expect(shaper.stats).to include(total_enqueued: 4, total_acked: 0, total_dropped: 4, in_flight: 0)
  end

  it "forgets the partition in stats" do
    shaper = manager
    shaper.enqueue(:a, :m, :p, 5)
    shaper.enqueue(:a, :m, :q, 5)
    drained(shaper)
    shaper.revoke(:p)
    expect(shaper.stats[:partitions].keys).to eq([:q])
  end

  it "leaves counters that add up whatever state each message was in (I5)" do
    shaper = gated_manager(concurrency: 2)
    shaper.enqueue(:a, :one, :p, 0)
    shaper.enqueue(:b, :free, :p, 1)
    shaper.enqueue(:b, :two, :p, 2)
    settle(shaper, running: 2)
    3.times { |n| shaper.enqueue(n, :free, :p, 3 + n) }
    2.times { |n| shaper.enqueue(:a, :free, :q, n) }
    shaper.revoke(:p)
    %i[one two].each { |message| finish(message) }
    drained(shaper)

    expect(shaper.stats).to include(total_enqueued: 8, total_acked: 2, total_dropped: 6, in_flight: 0, waiting: 0,
                                    running: 0, sub_keys: 0)
  end

  it "leaves the order of a sub key of several partitions as it was" do
    shaper = gated_manager(concurrency: 1, max_in_queue: 100)
    shaper.enqueue(:key, :running, :q, 0)
    settle(shaper, running: 1)
    30.times { |n| shaper.enqueue(:key, :free, %i[p q r][n % 3], n + 1) }
    expect(shaper.revoke(:p).map(&:last)).to eq((1..30).select { |n| n % 3 == 1 })
    finish(:running)
    drained(shaper)

    order = calls.of(:work).map(&:offset)
    expect(order).to eq([0] + (1..30).reject { |n| n % 3 == 1 })
    expect(calls.acks(:r)).to eq((1..30).select { |n| (n % 3).zero? })
  end

  it "drops the whole of a sub key and frees it" do
    shaper = gated_manager(concurrency: 1)
    shaper.enqueue(:running, :running, :q, 0)
    settle(shaper, running: 1)
    10.times { |n| shaper.enqueue([:gone, n], :free, :p, n) }
    expect(shaper.stats[:sub_keys]).to eq(11)
    expect(shaper.revoke(:p).size).to eq(10)
    expect(shaper.stats).to include(sub_keys: 1, waiting: 0, in_flight: 1)
  end

  describe "when the partition returns" do
    it "waits for what still runs of a sub key before it starts the next (I1)" do
      shaper = gated_manager
      shaper.enqueue(:key, :old, :p, 5)
      settle(shaper, running: 1)
      shaper.revoke(:p)
      shaper.enqueue(:key, :new, :p, 5)
      settle(shaper, running: 1, waiting: 1)
      expect(calls.started).to eq([:old])
      finish(:old)
      eventually { calls.started == %i[old new] }
      settle(shaper, running: 1)

      expect(bounded { shaper.flush }).to eq(0)
      expect(calls.acks).to be_empty
      finish(:new)
      drained(shaper)
      expect(calls.acks).to eq([5])
    end

    it "does not take an old finish for a new one (I6)" do
      shaper = gated_manager
      shaper.enqueue(:a, :old, :p, 5)
      settle(shaper, running: 1)
      shaper.revoke(:p)
      shaper.enqueue(:b, :new, :p, 5)
      settle(shaper, running: 2)
      finish(:old)
      settle(shaper, running: 1)
      expect(bounded { shaper.flush }).to eq(0)
      expect(calls.acks).to be_empty
      finish(:new)
      drained(shaper)
      expect(calls.acks).to eq([5])
    end

    it "is not held back by what still runs of the old assignment" do
      shaper = gated_manager
      shaper.enqueue(:a, :old, :p, 0)
      settle(shaper, running: 1)
      shaper.revoke(:p)
      3.times { |n| shaper.enqueue(:b, :free, :p, n) }
      eventually { calls.acks == [0, 1, 2] }
      finish(:old)
      drained(shaper)
      expect(calls.acks).to eq([0, 1, 2])
    end

    it "starts anew, from a lower offset too, without a warning (I4)" do
      shaper = manager
      shaper.enqueue(:key, :m, :p, 100)
      drained(shaper)
      shaper.revoke(:p)
      [3, 4].each { |offset| shaper.enqueue(:key, :m, :p, offset) }
      expect(drained(shaper).stats[:partitions][:p]).to include(last_acked: 4, received: 2)
      expect(calls.acks).to eq([100, 3, 4])
      expect(log.entries(/duplicate/i)).to be_empty
    end

    it "many times over with one worker's message still running (I1, I6)" do
      shaper = gated_manager(max_in_queue: 100)
      shaper.enqueue(:key, :old, :p, 0)
      settle(shaper, running: 1)
      20.times do |round|
        shaper.revoke(:p)
        2.times { |n| shaper.enqueue(:key, :free, :p, (round * 2) + n) }
      end
      finish(:old)
      drained(shaper)
      expect(calls.acks).to eq([38, 39])
      expect(shaper.stats).to include(total_acked: 2, total_dropped: 39, in_flight: 0)
    end
  end

  describe "while ack runs for the partition" do
    it "waits for it, and no further ack follows (I6)" do
      held = gate
      shaper = manager(ack: ->(_, _) { held.pass })
      5.times { |n| shaper.enqueue(n, n, :p, n) }
      eventually { held.waiting == 1 }
      settle(shaper)
      revoking = blocked_thread { shaper.revoke(:p) }
      held.open
      expect(value_of(revoking)).to eq([])
      acks_when_revoked = calls.acks
      drained(shaper)
      bounded { shaper.flush }

      expect(calls.acks).to eq(acks_when_revoked)
      expect(shaper.stats).to include(total_enqueued: 5, in_flight: 0)
      expect(shaper.stats.values_at(:total_acked, :total_dropped).sum).to eq(5)
      expect(shaper.stats[:partitions]).to be_empty
    end

    it "can be interrupted, and is then done when called again (I8)" do
      held = gate
      shaper = manager(ack: ->(_, _) { held.pass })
      5.times { |n| shaper.enqueue(n, n, :p, n) }
      eventually { held.waiting == 1 }
      expect { Timeout.timeout(0.02) { shaper.revoke(:p) } }.to raise_error(Timeout::Error)
      revoking = blocked_thread { shaper.revoke(:p) }
      held.open
      value_of(revoking)
      count = calls.acks.size
      drained(shaper)
      expect(calls.acks.size).to eq(count)
    end

    it "waits for it in every thread that revokes (I6)" do
      held = gate
      shaper = manager(ack: ->(_, _) { held.pass })
      3.times { |n| shaper.enqueue(n, n, :p, n) }
      eventually { held.waiting == 1 }
      revoking = Array.new(3) { blocked_thread { shaper.revoke(:p) } }
      held.open
      expect(revoking.flat_map { |thread| value_of(thread) }).to eq([])
    end

    { "taken" => nil, "refused" => false }.each do |what, answer|
      it "keeps the old ack, when it is #{what} at last, out of the partition that has returned meanwhile (I4, I6)" do
        held = gate
        shaper = manager(ack: ->(_, offset) { offset == 100 ? held.pass && answer : nil })
        shaper.enqueue(:a, :old, :p, 100)
        eventually { held.waiting == 1 }
        revoking = blocked_thread { shaper.revoke(:p) }
        [3, 4].each { |offset| shaper.enqueue(:a, :new, :p, offset) }
        settle(shaper)
        held.open
        value_of(revoking)
        drained(shaper)

        expect(calls.acks).to eq([100, 3, 4])
        expect(shaper.stats[:partitions][:p]).to include(last_acked: 4, received: 2)
        expect(shaper.stats).to include(in_flight: 0, total_enqueued: 3)
        expect(shaper.stats.values_at(:total_acked, :total_dropped).sum).to eq(3)
        expect(log.entries(/duplicate/i)).to be_empty
      end
    end

    it "does not wait for the ack of another partition" do
      held = gate
      shaper = manager(ack: ->(partition, _) { held.pass if partition == :slow })
      shaper.enqueue(:a, :m, :p, 0)
      drained(shaper)
      shaper.enqueue(:b, :m, :slow, 0)
      eventually { held.waiting == 1 }
      expect(bounded { shaper.revoke(:p) }).to eq([])
    end

    it "does not wait for itself inside ack, and acknowledges no more of it" do
      dropped = []
      shaper = nil
      shaper = gated_manager_with_ack { |offset| dropped << shaper.revoke(:p) if offset == 1 }
      shaper.enqueue(:head, :head, :p, 0)
      5.times { |n| shaper.enqueue(n, :free, :p, n + 1) }
      settle(shaper, running: 1)
      finish(:head)
      drained(shaper)

      expect(calls.acks).to eq([0, 1])
      expect(dropped).to eq([[]])
      expect(shaper.stats).to include(in_flight: 0, total_enqueued: 6)
    end

    def gated_manager_with_ack
      gated_manager(ack: ->(_, offset) { yield(offset) && nil })
    end
  end

  it "lets work revoke the partition of its own message" do
    shaper = nil
    shaper = manager(concurrency: 1, work: ->(message, _, _) { shaper.revoke(:p) if message == :first })
    shaper.enqueue(:a, :first, :p, 0)
    drained(shaper)
    shaper.enqueue(:a, :second, :p, 0)
    drained(shaper)
    expect(calls.errors).to be_empty
    expect(calls.acks).to eq([0])
    expect(shaper.stats).to include(total_acked: 1, total_dropped: 1)
  end

  it "lets in a caller that is blocked on a sub key whose waiting messages it drops (I5)" do
    held = gate
    shaper = manager(max_in_queue: 1, work: ->(message, _, _) { held.pass if message == :running })
    shaper.enqueue(:key, :running, :other, 0)
    settle(shaper, running: 1)
    shaper.enqueue(:key, :waiting, :p, 0)
    blocked = blocked_thread { shaper.enqueue(:key, :blocked, :other, 1) }
    expect(shaper.revoke(:p).size).to eq(1)
    expect(value_of(blocked)).to be(true)
    held.open
    drained(shaper)
    expect(calls.acks(:other)).to eq([0, 1])
  end

  it "holds with a producer, a flusher and a revoker at once (I6)" do
    shaper = manager(concurrency: 4, max_in_queue: 5)
    stopped = false
    producer = in_thread { 2_000.times { |n| shaper.enqueue(n % 6, n, :p, n) } }
    flusher = in_thread { Thread.pass while shaper.flush && !stopped }
    fences = []
    dropped = []
    while producer.alive?
      enqueued = shaper.total_enqueued
      dropped.concat(bounded { shaper.revoke(:p) })
      # Everything below `enqueued` came before this revoke, and all acks of it before this point.
      fences << [enqueued, calls.all.size]
    end
    value_of(producer)
    drained(shaper)
    stopped = true
    value_of(flusher)

    all = calls.all
    fences.each do |enqueued, seen|
      expect(all.drop(seen).select { |call| call.kind == :ack && call.offset < enqueued }).to be_empty
    end
    expect((calls.worked + dropped.map(&:last)).sort).to eq((0...2_000).to_a)
    expect(shaper.stats.values_at(:total_acked, :total_dropped).sum).to eq(2_000)
  end

  it "works after shutdown and on a manager that shuts down" do
    shaper = gated_manager(concurrency: 1)
    shaper.enqueue(:a, :running, :p, 0)
    shaper.enqueue(:a, :free, :p, 1)
    settle(shaper, running: 1, waiting: 1)
    shaper.request_shutdown
    expect(shaper.revoke(:p)).to eq([[:a, :free, :p, 1]])
    finish(:running)
    bounded { shaper.shutdown(timeout: 5) }
    expect(calls.acks).to be_empty
    expect(shaper.revoke(:p)).to eq([])
  end
end
