# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#drop_waiting" do
  # A manager whose messages wait for a gate of their own, but :free ones.
  def gated_manager(**settings)
    @gates_by_message = gates_by_name
    manager(work: ->(message, _, _) { @gates_by_message[message].pass unless message == :free }, **settings)
  end

  def finish(*messages)
    messages.each { |message| @gates_by_message[message].open }
  end

  def drop_waiting(shaper)
    shaper.send(:drop_waiting)
  end

  # :a runs with offset 0 and :b with 2; behind each, and on sub keys of their own, wait the rest up to 6.
  def two_running(**settings)
    shaper = gated_manager(concurrency: 2, **settings)
    %i[a a b b c d].zip(%i[a free b free free free]).each_with_index do |(sub_key, message), offset|
      shaper.enqueue(sub_key, message, :p, offset)
    end
    settle(shaper, running: 2, waiting: 4)
    shaper
  end

  it "is private: it would surprise a manager into which messages still come" do
    expect(manager).not_to respond_to(:drop_waiting)
  end

  it "returns 0 when nothing waits, and changes nothing" do
    shaper = manager
    expect(drop_waiting(shaper)).to eq(0)
    3.times { |offset| shaper.enqueue(:key, :m, :p, offset) }
    drained(shaper)
    expect(drop_waiting(shaper)).to eq(0)
    expect(calls.acks).to eq([0, 1, 2])
    expect(shaper.stats).to include(total_dropped: 0, in_flight: 0)
  end

  %i[every latest].each do |acks|
    it "drops what waits, finishes what runs and acknowledges up to the first that was dropped (#{acks}) (I3)" do
      shaper = two_running(acks: acks)
      expect(drop_waiting(shaper)).to eq(4)
      expect(shaper.stats).to include(waiting: 0, running: 2, sub_keys: 2, total_dropped: 4, in_flight: 6)
      finish(:a, :b)
      eventually { calls.acks == [0] }

      expect(value_of(in_thread { shaper.shutdown(timeout: 10) })).to be(false)
      expect(calls.started).to eq(%i[a b])
      expect(calls.acks).to eq([0])
      expect(shaper.stats).to include(in_flight: 5, total_acked: 1, waiting: 0, running: 0, sub_keys: 0, fatal: nil)
      expect(shaper.stats[:partitions][:p]).to include(last_acked: 0, oldest_unfinished: 1)
    end
  end

  it "ends a shutdown that waits, as soon as what runs is finished" do
    shaper = two_running
    stopping = blocked_thread { shaper.shutdown }
    expect(drop_waiting(shaper)).to eq(4)
    finish(:a)
    settle(shaper, running: 1)
    expect(stopping).to be_alive
    finish(:b)
    expect(value_of(stopping)).to be(false)
    expect(worker_threads).to be_empty
    expect(calls.acks).to eq([0])
  end

  it "ends a drain that waits" do
    shaper = two_running
    draining = blocked_thread { shaper.drain }
    drop_waiting(shaper)
    finish(:a, :b)
    expect(value_of(draining)).to be(false)
  end

  it "acknowledges all of a partition of which nothing waited" do
    shaper = gated_manager(concurrency: 1)
    shaper.enqueue(:a, :a, :p, 0)
    settle(shaper, running: 1)
    shaper.enqueue(:a, :free, :q, 0)
    shaper.enqueue(:b, :free, :q, 1)
    expect(drop_waiting(shaper)).to eq(2)
    finish(:a)
    bounded { shaper.shutdown }
    expect(calls.of(:ack).map { |call| [call.partition, call.offset] }).to eq([[:p, 0]])
  end

  it "counts each message once when its partition is revoked then (I5)" do
    shaper = two_running
    drop_waiting(shaper)
    expect(shaper.revoke(:p)).to eq([])
    expect(shaper.stats).to include(total_dropped: 6, in_flight: 0)
    finish(:a, :b)
    drained(shaper)
    shaper.enqueue(:a, :free, :p, 1)
    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.acks).to eq([1])
  end

  it "lets in a caller that waits for room on a sub key" do
    shaper = gated_manager(concurrency: 1, max_in_queue: 1)
    2.times { |offset| shaper.enqueue(:a, offset.zero? ? :a : :free, :p, offset) }
    enqueuing = blocked_thread { shaper.enqueue(:a, :free, :q, 0) }
    expect(drop_waiting(shaper)).to eq(1)
    expect(value_of(enqueuing)).to be(true)
    finish(:a)
    settle(shaper)
    eventually { calls.acks(:q) == [0] }
  end

  it "can be called inside a callback" do
    dropped = []
    shaper = nil
    held = gate
    work = lambda do |_, _, _|
      held.pass
      dropped << drop_waiting(shaper)
    end
    shaper = manager(concurrency: 1, work: work)
    3.times { |offset| shaper.enqueue(offset, :m, :p, offset) }
    settle(shaper, running: 1, waiting: 2)
    held.open
    expect(bounded { shaper.shutdown }).to be(false)
    expect(dropped).to eq([2])
    expect(calls.acks).to eq([0])
  end

  it "ends a drain even if the worker that was called finds nothing any more" do
    shaper = manager(concurrency: 1)
    200.times do |offset|
      starts = Array.new(2) { Queue.new }
      draining = blocked_thread { starts[0].pop && shaper.drain }
      dropping = blocked_thread { starts[1].pop && drop_waiting(shaper) }
      starts.each { |start| start << true } # both are to come before the worker, as they mostly do
      shaper.enqueue(:key, :m, :p, offset)
      expect(value_of(dropping)).to be_between(0, 1)
      value_of(draining)
    end
  end

  it "loses no wake-up, whatever the workers are about to do" do
    300.times do |round|
      own = ManagerHelpers::Calls.new
      shaper = manager(calls: own, concurrency: 3, offset_commit_period_ms: 1)
      20.times { |offset| shaper.enqueue(offset % 4, :m, :p, offset) }
      (round % 10).times { Thread.pass }
      dropped = drop_waiting(shaper)
      expect(bounded { shaper.shutdown }).to be(dropped.zero?)
      expect(own.worked.size + dropped).to eq(20)
      expect(own.acks).to eq((0...own.acks.size).to_a)
    end
  end

  describe "of one partition" do
    def drop_waiting_of(shaper, partition)
      shaper.send(:drop_waiting_of, partition)
    end

    # One worker runs offset 0 of :p on :a; of :p wait 1 and 2, of :q all.
    def one_running
      shaper = gated_manager(concurrency: 1)
      shaper.enqueue(:a, :a, :p, 0)
      settle(shaper, running: 1)
      [[:a, :q, 0], [:a, :p, 1], [:b, :q, 1], [:c, :p, 2]].each do |sub_key, partition, offset|
        shaper.enqueue(sub_key, :free, partition, offset)
      end
      shaper
    end

    it "drops what waits of it, and of no other" do
      shaper = one_running
      expect(drop_waiting_of(shaper, :p)).to eq(2)
      expect(shaper.stats).to include(waiting: 2, running: 1, total_dropped: 2, in_flight: 5)
      finish(:a)
      eventually { calls.acks(:p) == [0] && calls.acks(:q) == [0, 1] }
      expect(shaper.stats[:partitions][:p]).to include(last_acked: 0, oldest_unfinished: 1)
    end

    it "changes nothing when nothing is known of it, or nothing waits" do
      shaper = one_running
      expect([drop_waiting_of(shaper, :r), drop_waiting_of(shaper, :p), drop_waiting_of(shaper, :p)]).to eq([0, 2, 0])
      expect(shaper.stats).to include(waiting: 2, total_dropped: 2)
      finish(:a)
    end

    it "can be asked for what is left of it" do
      shaper = one_running.extend(WorkShaper.const_get(:Feeding))
      left = -> { %i[p q r].map { |partition| [shaper.unfinished_of(partition), shaper.running_of(partition)] } }
      expect(left.call).to eq([[3, 1], [2, 0], [0, 0]])
      drop_waiting_of(shaper, :p)
      expect(left.call).to eq([[1, 1], [2, 0], [0, 0]])
      finish(:a)
      eventually { left.call == [[0, 0], [0, 0], [0, 0]] }
    end

    it "ends an await of it that waits" do
      shaper = one_running
      waiting = blocked_thread { shaper.await(:p) }
      drop_waiting_of(shaper, :p)
      finish(:a)
      expect(value_of(waiting)).to be(true)
    end

    it "counts each message once when it is revoked then (I5)" do
      shaper = one_running
      drop_waiting_of(shaper, :p)
      expect(shaper.revoke(:p)).to eq([])
      finish(:a)
      drained(shaper)
      expect(shaper.stats).to include(total_dropped: 3, in_flight: 0, total_acked: 2)
    end
  end

  describe "beyond what is finished" do
    # Of :p, 2 is finished, 0 runs on :a and 4 on :d; 1 and 3 wait behind 0, and 5. Of :q, nothing is finished.
    def three_running
      shaper = gated_manager(concurrency: 3)
      %i[a a b a d].zip(%i[a free free free d]).each_with_index do |(sub_key, message), offset|
        shaper.enqueue(sub_key, message, :p, offset)
      end
      shaper.enqueue(:e, :e, :q, 0)
      settle(shaper, running: 3, waiting: 2)
      shaper.enqueue(:f, :free, :p, 5)
      shaper.enqueue(:e, :free, :q, 1)
      shaper
    end

    it "drops what waits there, and what waits below goes on" do
      shaper = three_running
      expect(shaper.send(:drop_beyond)).to eq(3)
      expect(shaper.stats).to include(waiting: 1, running: 3, total_dropped: 3)
      finish(:a, :d, :e)
      expect(bounded { shaper.shutdown }).to be(false)
      expect(calls.of(:work).map { |call| [call.partition, call.offset] })
        .to contain_exactly([:p, 0], [:p, 1], [:p, 2], [:p, 4], [:q, 0])
      expect([calls.acks(:p), calls.acks(:q)]).to eq([[0, 1, 2], [0]])
    end

    it "drops nothing when nothing waits beyond" do
      shaper = gated_manager(concurrency: 2)
      %i[a a b].zip(%i[a free free]).each_with_index { |(key, message), i| shaper.enqueue(key, message, :p, i) }
      settle(shaper, running: 1, waiting: 1)
      expect(shaper.send(:drop_beyond)).to eq(0)
      finish(:a)
      expect(bounded { shaper.shutdown }).to be(true)
    end
  end
end
