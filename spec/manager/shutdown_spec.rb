# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#shutdown" do
  # A manager of one worker that holds its first message until the gate opens, with two more waiting behind it.
  def busy_manager(**settings)
    @held = gate
    shaper = manager(concurrency: 1, work: ->(message, _, _) { @held.pass if message == :head }, **settings)
    shaper.enqueue(:a, :head, 0, 0)
    shaper.enqueue(:a, :second, 0, 1)
    shaper.enqueue(:b, :third, 0, 2)
    settle(shaper, running: 1, waiting: 2)
    shaper
  end

  def threads_gone?
    manager_threads.none?(&:alive?)
  end

  it "runs what is enqueued, acknowledges what is finished, and is true when all was (I5)" do
    shaper = manager(concurrency: 3)
    100.times { |n| shaper.enqueue(n % 10, n, n % 2, n) }

    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.worked.sort).to eq((0...100).to_a)
    expect(calls.acks(0) + calls.acks(1)).to eq((0...100).partition(&:even?).flatten)
    expect(shaper.stats).to include(total_acked: 100, in_flight: 0, workers: 0, shutting_down: true, fatal: nil)
  end

  it "leaves no thread of the manager when it returned true" do
    shaper = manager(concurrency: 5)
    50.times { |n| shaper.enqueue(n, n, 0, n) }
    expect(bounded { shaper.shutdown }).to be(true)
    expect(threads_left).to be_empty
  end

  it "is true on a manager that was never used, and for ever after" do
    shaper = manager
    3.times { expect(bounded { shaper.shutdown }).to be(true) }
    expect(shaper.shutdown(timeout: 0)).to be(true)
    expect(threads_left).to be_empty
  end

  it "waits for an ack under way" do
    held = gate
    shaper = manager(ack: ->(_, _) { held.pass })
    shaper.enqueue(:key, :message, 0, 0)
    eventually { held.waiting == 1 }
    waiter = blocked_thread { shaper.shutdown }
    held.open
    expect(value_of(waiter)).to be(true)
    expect(shaper.total_acked).to eq(1)
  end

  it "does not wait for the tick of the acknowledger" do
    shaper = manager(acks: :latest, offset_commit_period_ms: 2_147_483_647)
    10.times { |n| shaper.enqueue(n, n, 0, n) }
    expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
    expect(calls.acks.last).to eq(9)
  end

  it "does not wait for the tick for what finishes while it shuts down" do
    shaper = busy_manager(offset_commit_period_ms: 2_147_483_647)
    # The acknowledger has had its pass for this and rests until the tick.
    shaper.flush
    waiter = blocked_thread { shaper.shutdown }
    @held.open
    expect(value_of(waiter)).to be(true)
    expect(calls.acks).to eq([0, 1, 2])
  end

  it "does not wait for the tick that began before it, either" do
    held = gate
    shaper = manager(offset_commit_period_ms: 2_147_483_647, work: ->(message, _, _) { held.pass if message == :held })
    shaper.enqueue(:a, :free, 0, 0)
    eventually { shaper.total_acked == 1 }
    acknowledger = manager_threads.find { |thread| thread.name == "work_shaper acknowledger" }
    eventually { acknowledger.stop? }
    shaper.enqueue(:b, :held, 1, 0)
    settle(shaper, running: 1)
    shaper.request_shutdown
    eventually { log.entries(/shutting down/i).any? && acknowledger.stop? }
    held.open
    expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
    expect(calls.acks(1)).to eq([0])
  end

  it "does not wait for the heartbeat" do
    log
    shaper = keep(described_class.new(**calls.callbacks, heartbeat_period_sec: 2_147_483_647))
    shaper.enqueue(:key, :message, 0, 0)
    expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
  end

  it "is false when the timeout passes; winding down goes on and can be waited for again" do
    shaper = busy_manager
    expect([0, 0.01, 1r / 100].map { |timeout| shaper.shutdown(timeout: timeout) }).to all(be(false))
    expect(shaper.shutting_down?).to be(true)
    expect { shaper.enqueue(:c, :late, 0, 3) }.to raise_error(WorkShaper::ShuttingDown)
    @held.open

    expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
    expect(calls.acks).to eq([0, 1, 2])
    expect(threads_left).to be_empty
  end

  it "winds down by itself after a timeout, though nobody waits any more" do
    shaper = busy_manager
    expect(shaper.shutdown(timeout: 0)).to be(false)
    @held.open
    eventually { calls.acks == [0, 1, 2] } # a thread that has not begun has no name yet
    eventually("threads of the manager are left") { threads_gone? }
  end

  [10**30, 1e300, Float::INFINITY, 2**63, nil].each do |timeout|
    it "waits as long as it takes with timeout: #{timeout.inspect}" do
      shaper = busy_manager
      waiter = blocked_thread { shaper.shutdown(timeout: timeout) }
      @held.open
      expect(value_of(waiter)).to be(true)
    end
  end

  it "gives every thread that calls it the same answer" do
    shaper = busy_manager
    waiters = Array.new(6) { blocked_thread { shaper.shutdown } }
    hurried = in_thread { shaper.shutdown(timeout: 0.02) }
    expect(value_of(hurried)).to be(false)
    @held.open
    expect(waiters.map { |waiter| value_of(waiter) }).to all(be(true))
  end

  it "logs that it shuts down once, however often it is called" do
    shaper = manager
    3.times { shaper.shutdown }
    expect(log.entries(/shutting down/i).size).to eq(1)
  end

  it "takes nothing new: ShuttingDown is an Error and a StandardError" do
    shaper = manager
    shaper.shutdown
    before = steady_stats(shaper)
    expect { shaper.enqueue(:key, :message, 0, 0) }.to raise_error(WorkShaper::ShuttingDown, /shutting down/i)
    expect { shaper.enqueue(:key, :message, 0, 0, timeout: 0) }.to raise_error(WorkShaper::Error)
    expect { shaper.try_enqueue(:key, :message, 0, 0) }.to raise_error(StandardError)
    expect(steady_stats(shaper)).to eq(before)
    expect(WorkShaper::ShuttingDown.superclass).to equal(WorkShaper::Error)
    expect(WorkShaper::Error.superclass).to equal(StandardError)
  end

  it "keeps everything else usable" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    shaper.shutdown
    expect([shaper.total_enqueued, shaper.total_acked, shaper.shutting_down, shaper.shutting_down?])
      .to eq([1, 1, true, true])
    expect(shaper.stats[:partitions][0]).to include(last_acked: 0)
    expect([shaper.flush, bounded { shaper.drain }, shaper.request_shutdown]).to eq([0, true, nil])
    expect { shaper.report(detailed: true) }.not_to raise_error
  end

  it "refuses what work adds while shutting down, and finishes the rest" do
    shaper = nil
    held = gate
    shaper = manager(work: lambda do |_, _, _|
      held.pass
      shaper.enqueue(:more, :more, 0, 1)
    end)
    shaper.enqueue(:key, :message, 0, 0)
    settle(shaper, running: 1)
    shaper.request_shutdown
    held.open
    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.errors).to contain_exactly(an_instance_of(WorkShaper::ShuttingDown))
    expect(shaper.stats).to include(total_enqueued: 1, total_acked: 1)
  end

  it "raises in every callback instead of waiting for itself, and does not begin" do
    raised = {}
    shaper = nil
    try = lambda do |name|
      shaper.shutdown(timeout: 0)
    rescue StandardError => e
      raised[name] = [e.class.ancestors.include?(WorkShaper::Error), shaper.shutting_down?]
    end
    shaper = manager(work: ->(message, _, _) { try.call(:work) && message == :failing && raise("failed") },
                     on_done: ->(_, _, _) { try.call(:on_done) }, on_error: ->(_, _, _, _) { try.call(:on_error) },
                     ack: ->(_, _) { try.call(:ack) && nil })
    shaper.enqueue(:a, :fine, 0, 0)
    shaper.enqueue(:a, :failing, 0, 1)
    drained(shaper)

    expect(raised).to eq(work: [true, false], on_done: [true, false], on_error: [true, false], ack: [true, false])
  end

  it "raises inside an ack that a flush asked for, too" do
    raised = []
    shaper = nil
    shaper = manager(offset_commit_period_ms: 2_147_483_647, ack: lambda do |_, _|
      shaper.shutdown(timeout: 0)
    rescue WorkShaper::Error
      raised << Thread.current
      nil
    end)
    3.times do |n|
      shaper.enqueue(:key, :message, 0, n)
      settle(shaper)
      bounded { shaper.flush }
      eventually { shaper.total_acked == n + 1 }
    end
    expect(raised.size).to eq(3)
    expect(shaper.shutting_down?).to be(false)
  end

  it "can be called by a thread that work started, and by a callback of another manager" do
    ended = []
    shaper = nil
    shaper = manager(work: ->(_, _, _) { in_thread { ended << shaper.shutdown } })
    shaper.enqueue(:key, :message, 0, 0)
    eventually { ended == [true] }

    first = manager(calls: ManagerHelpers::Calls.new)
    first.enqueue(:key, :message, 0, 0)
    second = manager(calls: ManagerHelpers::Calls.new, work: ->(_, _, _) { ended << first.shutdown })
    second.enqueue(:key, :message, 0, 0)
    drained(second)
    expect(ended).to eq([true, true])
  end

  it "ends on Timeout, raise and kill, and can be called again (I8)" do
    shaper = busy_manager
    expect { Timeout.timeout(0.02) { shaper.shutdown } }.to raise_error(Timeout::Error)
    killed, raised, waiting = Array.new(3) { blocked_thread { shaper.shutdown } }
    killed.kill
    raised.raise(IOError, "enough")
    expect(killed.join(ManagerHelpers::DEADLINE)).to equal(killed)
    expect { value_of(raised) }.to raise_error(IOError)
    @held.open
    expect(value_of(waiting)).to be(true)
    expect(shaper.shutdown).to be(true)
  end

  describe "asked for with request_shutdown" do
    it "returns nil at once, and the manager winds down by itself" do
      shaper = busy_manager
      expect(shaper.request_shutdown).to be_nil
      expect(shaper.shutting_down?).to be(true)
      expect { shaper.enqueue(:c, :late, 0, 3) }.to raise_error(WorkShaper::ShuttingDown)
      @held.open

      eventually { calls.acks == [0, 1, 2] }
      eventually("threads of the manager are left") { threads_gone? }
      expect(bounded { shaper.shutdown(timeout: 0) }).to be(true)
    end

    it "ends the threads of a manager that is idle, and of one that was never used" do
      used = manager
      used.enqueue(:key, :message, 0, 0)
      drained(used)
      [used, manager].each { |shaper| 2.times { expect(shaper.request_shutdown).to be_nil } }
      eventually("threads of the manager are left") { threads_gone? }
      expect(used.total_acked).to eq(1)
    end

    it "does not wait for a long tick though nobody waits for it" do
      first = gate
      second = gate
      shaper = manager(offset_commit_period_ms: 60_000, work: ->(message, _, _) { message.pass })
      [first, second].each_with_index { |held, offset| shaper.enqueue(offset, held, 0, offset) }
      settle(shaper, running: 2)
      shaper.request_shutdown
      first.open
      eventually { calls.acks == [0] }
      second.open
      eventually("threads of the manager are left") { threads_gone? }
      expect(calls.acks).to eq([0, 1])
    end

    it "can be asked for in every callback" do
      %i[work on_done on_error ack].each do |name|
        shaper = nil
        own = ManagerHelpers::Calls.new
        shaper = manager(calls: own, work: ->(_, _, _) { raise "failed" if name == :on_error },
                         **{ name => ->(*) { shaper.request_shutdown } })
        shaper.enqueue(:key, :message, 0, 0)
        expect(bounded { shaper.shutdown(timeout: 10) }).to be(true), "from #{name}"
        expect(own.acks).to eq([0])
      end
    end

    it "can be asked for in a trap handler, where shutting_down can be read" do
      shaper = busy_manager
      seen = []
      errors = []
      before = trap("USR2") do
        seen << shaper.shutting_down << shaper.shutting_down?
        seen << shaper.request_shutdown << shaper.shutting_down
      rescue Exception => e # rubocop:disable Lint/RescueException
        errors << e
      end
      Process.kill("USR2", Process.pid)
      eventually { seen.size == 4 || errors.any? }
      @held.open

      expect(errors).to be_empty
      expect(seen).to eq([false, false, nil, true])
      eventually { calls.acks == [0, 1, 2] }
      eventually("threads of the manager are left") { threads_gone? }
    ensure
      trap("USR2", before || "DEFAULT")
    end

    it "releases the main thread from a full enqueue when its trap handler asks" do
      held = gate
      shaper = manager(max_in_flight: 1, work: ->(_, _, _) { held.pass })
      shaper.enqueue(:key, :message, 0, 0)
      main = Thread.current
      before = trap("USR2") { shaper.request_shutdown }
      in_thread do
        eventually { main.stop? && shaper.stats[:running] == 1 }
        Process.kill("USR2", Process.pid)
      end
      expect { shaper.enqueue(:key, :message, 0, 1, timeout: 60) }.to raise_error(WorkShaper::ShuttingDown)
    ensure
      trap("USR2", before || "DEFAULT")
    end
  end
end
