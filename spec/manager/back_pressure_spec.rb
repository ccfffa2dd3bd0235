# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "back pressure" do
  # A manager in which everything waits for a gate of its own by message; :free messages run through.
  def held_manager(**settings)
    @gates_by_message = gates_by_name
    manager(work: ->(message, _, _) { @gates_by_message[message].pass unless message == :free }, **settings)
  end

  # One running and `waiting` more of a sub key: full when waiting is max_in_queue.
  def fill(shaper, key, waiting:, partition: 0)
    running = shaper.stats[:running]
    queued = shaper.stats[:waiting]
    (waiting + 1).times { |n| shaper.enqueue(key, n.zero? ? key : :free, partition, n) }
    settle(shaper, running: running + 1, waiting: queued + waiting)
  end

  def release(message)
    @gates_by_message[message].open
  end

  it "blocks on a full sub key until one of it starts" do
    shaper = held_manager(max_in_queue: 2)
    fill(shaper, :a, waiting: 2)
    blocked = blocked_thread { shaper.enqueue(:a, :free, 0, 3) }
    expect(shaper.total_enqueued).to eq(3)

    release(:a)
    expect(value_of(blocked)).to be(true)
    drained(shaper)
    expect(calls.acks).to eq([0, 1, 2, 3])
  end

  it "blocks on a full manager until something is finished" do
    shaper = held_manager(max_in_flight: 3)
    %i[head b c].each_with_index { |message, offset| shaper.enqueue(message, message, 0, offset) }
    settle(shaper, running: 3)
    blocked = blocked_thread { shaper.enqueue(:d, :free, 0, 3) }

    expect(shaper.try_enqueue(:d, :free, 0, 3)).to be(false)
    release(:c)
    expect(value_of(blocked)).to be(true)
    settle(shaper, running: 2)
    expect(calls.acks).to be_empty
    release(:head)
    release(:b)
    drained(shaper)
  end

  %i[every latest].each do |acks|
    it "does not count what is finished behind another one, acks: #{acks}" do
      shaper = held_manager(max_in_flight: 3, acks: acks)
      shaper.enqueue(:head, :head, 0, 0)
      bounded { 1000.times { |n| shaper.enqueue(n % 7, :free, 0, n + 1) } }
      settle(shaper, running: 1)
      expect(shaper.stats).to include(in_flight: 1001, total_acked: 0)
      expect(shaper.stats[:partitions][0]).to include(oldest_unfinished: 0, received: 1001)

      release(:head)
      drained(shaper)
      expect(calls.acks).to eq(acks == :every ? (0..1000).to_a : [1000])
    end
  end

  it "counts what is finished while ack lags behind" do
    acked = gate
    shaper = manager(max_in_flight: 4, ack: ->(_, offset) { acked.pass if offset.zero? })
    shaper.enqueue(:key, :m, 0, 0)
    eventually { acked.waiting == 1 }
    taken = (1..50).take_while { |offset| settle(shaper) && shaper.try_enqueue(:key, :m, 0, offset) }
    expect(taken).to eq([1, 2, 3])
    expect { shaper.enqueue(:key, :m, 0, 4, timeout: 0) }.to raise_error(WorkShaper::Full, /not acknowledged/)
    blocked = blocked_thread { shaper.enqueue(:key, :m, 0, 4) }
    acked.open
    expect(value_of(blocked)).to be(true)
    drained(shaper)
    expect(calls.acks).to eq([0, 1, 2, 3, 4])
  end

  it "does not wait for the tick of the acknowledger when all that is in flight is finished" do
    shaper = held_manager(max_in_flight: 5, offset_commit_period_ms: 2_147_483_647)
    bounded { 50.times { |n| shaper.enqueue(n, :free, 0, n) } }
    drained(shaper)
    expect(calls.acks).to eq((0...50).to_a)
  end

  it "a slow sub key does not stop enqueue for the others (I7)" do
    shaper = held_manager(max_in_queue: 1)
    fill(shaper, :slow, waiting: 1)
    blocked = blocked_thread { shaper.enqueue(:slow, :free, 0, 2) }
    200.times { |n| bounded { shaper.enqueue(n % 7, :free, 1, n) } }
    eventually { calls.acks(1).size == 200 }

    expect(blocked).to be_alive
    release(:slow)
    value_of(blocked)
  end

  it "wakes the caller that waits for the sub key that has room, whoever came first" do
    shaper = held_manager(max_in_queue: 1)
    %i[a b c].each_with_index { |key, partition| fill(shaper, key, waiting: 1, partition: partition) }
    blocked = %i[a b c].to_h { |key| [key, blocked_thread { shaper.enqueue(key, :free, key, 9) }] }

    release(:b)
    expect(value_of(blocked[:b])).to be(true)
    expect(blocked.values_at(:a, :c)).to all(be_alive)
    release(:c)
    expect(value_of(blocked[:c])).to be(true)
    release(:a)
    expect(value_of(blocked[:a])).to be(true)
  end

  it "lets in everyone who waits, one for each that leaves" do
    shaper = held_manager(max_in_queue: 1, max_in_flight: 1_000)
    fill(shaper, :a, waiting: 1)
    blocked = Array.new(10) { |n| blocked_thread { shaper.enqueue(:a, :free, 1, n) } }
    release(:a)

    blocked.each { |thread| expect(value_of(thread)).to be(true) }
    drained(shaper)
    expect(shaper.total_acked).to eq(12)
  end

  it "is never beyond its limits, with many producers (I7)" do
    over = []
    shaper = nil
    shaper = manager(max_in_queue: 2, max_in_flight: 12, concurrency: 3, work: lambda do |_, _, _|
      stats = shaper.stats
      over << stats if stats[:waiting] + stats[:running] > 12 || stats[:waiting] > 2 * stats[:sub_keys]
    end)
    producers = Array.new(6) do |producer|
      in_thread { 150.times { |n| shaper.enqueue((n + producer) % 8, n, producer, n) } }
    end
    producers.each { |producer| value_of(producer) }
    drained(shaper)

    expect(over).to be_empty
    expect(shaper.total_acked).to eq(900)
  end

  describe "with timeout:" do
    { "a sub key" => { max_in_queue: 1, max_in_flight: 100 },
      "the manager" => { max_in_queue: 100, max_in_flight: 2 } }.each do |what, limits|
      it "raises Full when #{what} stays full, and has changed nothing" do
        shaper = held_manager(**limits)
        fill(shaper, :a, waiting: 1)
        before = steady_stats(shaper)

        [0, 0.0, 0.01, 1r / 100].each do |timeout|
          expect { shaper.enqueue(:a, :late, :new_partition, 5, timeout: timeout) }.to raise_error(WorkShaper::Full)
        end
        expect(steady_stats(shaper)).to eq(before)
        release(:a)
        drained(shaper)
        expect(calls.started).not_to include(:late)
      end
    end

    [nil, 0, 0.0, 1, 1.5, 1r / 3, 10**30, 1e300, Float::INFINITY].each do |timeout|
      it "takes timeout: #{timeout.inspect} where there is room" do
        shaper = manager
        expect(shaper.enqueue(:key, :message, 0, 0, timeout: timeout)).to be(true)
        drained(shaper)
      end
    end

    [nil, 10**30, 1e300, Float::INFINITY, 2**63, ManagerHelpers::DEADLINE].each do |timeout|
      it "waits with timeout: #{timeout.inspect} until there is room" do
        shaper = held_manager(max_in_queue: 1)
        fill(shaper, :a, waiting: 1)
        blocked = blocked_thread { shaper.enqueue(:a, :free, 0, 2, timeout: timeout) }
        release(:a)
        expect(value_of(blocked)).to be(true)
      end
    end

    it "waits for the whole timeout, though woken meanwhile" do
      shaper = held_manager(max_in_queue: 1)
      fill(shaper, :a, waiting: 1)
      waiter = blocked_thread do
        began = ManagerHelpers.now
        shaper.enqueue(:a, :free, 0, 2, timeout: 0.2)
      rescue WorkShaper::Full
        ManagerHelpers.now - began
      end
      50.times do
        waiter.wakeup if waiter.alive?
        Thread.pass
      end
      expect(value_of(waiter)).to be >= 0.2
    end

    it "is a Full, an Error and a StandardError that says which limit it was" do
      shaper = held_manager(max_in_queue: 1, max_in_flight: 2)
      fill(shaper, :a, waiting: 1)
      expect { shaper.enqueue(:b, :free, 0, 2, timeout: 0) }.to raise_error(WorkShaper::Error, /max_in_flight/)
      expect(WorkShaper::Full.ancestors).to include(WorkShaper::Error, StandardError)

      other = held_manager(max_in_queue: 1, max_in_flight: 20, calls: ManagerHelpers::Calls.new)
      fill(other, :a, waiting: 1)
      expect { other.enqueue(:a, :free, 0, 2, timeout: 0) }.to raise_error(WorkShaper::Full, /max_in_queue/)
    end
  end

  it "releases everyone who is blocked when the manager shuts down, and takes nothing from them" do
    shaper = held_manager(max_in_queue: 1, max_in_flight: 3)
    fill(shaper, :a, waiting: 1)
    shaper.enqueue(:b, :b, 0, 2)
    blocked = [blocked_thread { shaper.enqueue(:a, :late, 0, 5) },
               blocked_thread { shaper.enqueue(:c, :late, 2, 5, timeout: 60) }]
    shaper.request_shutdown
    blocked.each { |thread| expect { value_of(thread) }.to raise_error(WorkShaper::ShuttingDown) }
    release(:a)
    release(:b)

    expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
    expect(shaper.total_acked).to eq(shaper.total_enqueued)
  end

  it "releases everyone who is blocked when ack raises" do
    acked = gate
    shaper = manager(max_in_flight: 1, ack: ->(_, _) { acked.pass || raise("no broker") })
    shaper.enqueue(:a, :message, 0, 0)
    eventually { acked.waiting == 1 }
    blocked = blocked_thread { shaper.enqueue(:b, :message, 0, 1) }
    acked.open
    expect { value_of(blocked) }.to raise_error(WorkShaper::ShuttingDown)
  end

  it "gives the room that a revoke makes to a caller that waits" do
    shaper = held_manager(max_in_queue: 1)
    fill(shaper, :a, waiting: 1, partition: :p)
    blocked = blocked_thread { shaper.enqueue(:a, :free, :p, 9) }

    expect(shaper.revoke(:p).map(&:last)).to eq([1])
    expect(value_of(blocked)).to be(true)
    release(:a)
    drained(shaper)
    expect(calls.acks(:p)).to eq([9])
  end

  it "gives the room in flight that a revoke makes to a caller that waits" do
    shaper = held_manager(max_in_flight: 2)
    fill(shaper, :a, waiting: 1, partition: :p)
    blocked = blocked_thread { shaper.enqueue(:b, :free, :q, 0) }
    shaper.revoke(:p)
    expect(value_of(blocked)).to be(true)
    eventually { calls.acks(:q) == [0] }
  end

  it "has callers that are killed, raised into or timed out leave their place to the next (I8)" do
    shaper = held_manager(max_in_queue: 1)
    fill(shaper, :a, waiting: 1)
    killed, raised, first, second = Array.new(4) { |n| blocked_thread { shaper.enqueue(:a, :free, 1, n) } }
    killed.kill
    raised.raise(IOError, "enough")
    expect { Timeout.timeout(0.02) { shaper.enqueue(:a, :free, 1, 7) } }.to raise_error(Timeout::Error)
    release(:a)

    expect([first, second].map { |thread| value_of(thread) }).to eq([true, true])
    expect { value_of(raised) }.to raise_error(IOError)
    drained(shaper)
    expect(calls.acks(1)).to eq([2, 3])
    expect(shaper.total_enqueued).to eq(4)
  end

  it "loses no wake-up when the caller that is woken is killed at that moment (I5)" do
    shaper = manager(max_in_queue: 1, max_in_flight: 2, concurrency: 1)
    40.times do |round|
      producers = Array.new(4) { |n| in_thread { 5.times { |m| shaper.enqueue(:a, :m, [round, n], m) } } }
      producers.first.kill
      producers.drop(1).each { |producer| value_of(producer) }
    end
    drained(shaper)
    expect(shaper.stats).to include(waiting: 0, in_flight: 0)
  end

  it "uses no CPU while it waits (I9)" do
    shaper = held_manager(max_in_queue: 1)
    fill(shaper, :a, waiting: 1)
    blocked = blocked_thread { shaper.enqueue(:a, :free, 0, 2) }
    before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    expect(blocked.join(0.5)).to be_nil
    expect(Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before).to be < 0.1
  end
end
