# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "workers" do
  # So many messages running at the same time, each of its own sub key; returns the gate they wait for.
  def occupy(shaper, count, from: 0)
    held = gate
    @held = held
    count.times { |n| shaper.enqueue([from, n], :held, :occupied, from + n) }
    eventually(-> { "#{count} messages never ran at the same time: #{shaper.stats}" }) { held.waiting == count }
    held
  end

  def occupiable_manager(**settings)
    manager(work: ->(message, _, _) { @held.pass if message == :held }, **settings)
  end

  def kill(threads)
    threads.each(&:kill)
    threads.each { |thread| expect(thread.join(ManagerHelpers::DEADLINE)).to equal(thread) }
  end

  it "are not started before there is work" do
    shaper = manager
    expect { shaper.enqueue(:key, :message, 0, -1) }.to raise_error(ArgumentError)
    expect(worker_threads).to be_empty
    expect(shaper.stats[:workers]).to eq(0)
  end

  it "are only as many as needed" do
    shaper = manager
    100.times do |n|
      shaper.enqueue(n, n, 0, n)
      drained(shaper)
    end
    expect(shaper.stats[:workers]).to be_between(1, 2)
    expect(worker_threads.size).to eq(shaper.stats[:workers])
  end

  it "are not started for messages that cannot run yet" do
    held = gate
    shaper = manager(max_in_queue: 100, work: ->(_, _, _) { held.pass })
    100.times { |n| shaper.enqueue(:one_key, n, 0, n) }
    shaper.enqueue(:other_key, 100, 0, 100)
    settle(shaper, running: 2, waiting: 99)
    # One or two more may have been called before the first had taken its message.
    expect(worker_threads.size).to be_between(2, 6)
  end

  it "are started up to concurrency, and named by number" do
    shaper = occupiable_manager(concurrency: 4)
    occupy(shaper, 4)
    expect(worker_threads.map(&:name)).to match_array((1..4).map { |n| "work_shaper worker #{n}" })
    expect(calls.of(:work).map { |call| call.thread.name }.uniq.size).to eq(4)
    shaper.enqueue(:more, :free, 0, 9)
    expect(shaper.stats).to include(workers: 4, running: 4, waiting: 1)
  end

  it "are used again before new ones are started" do
    shaper = occupiable_manager(concurrency: 10)
    occupy(shaper, 3).open
    drained(shaper)
    5.times do |round|
      occupy(shaper, 3, from: (round + 1) * 10).open
      drained(shaper)
    end
    expect(shaper.stats[:workers]).to be_between(3, 4)
  end

  it "run beside an acknowledger of that name, which is never called work" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    drained(shaper)
    expect(manager_threads.map(&:name).grep_v(/\Awork_shaper worker \d+\z/)).to eq(["work_shaper acknowledger"])
    expect(calls.of(:ack).first.thread.name).to eq("work_shaper acknowledger")
  end

  describe "started by a thread that masks interrupts" do
    { "Object" => Object, "Exception" => Exception, "IOError" => IOError }.each do |name, masked|
      it "do not inherit the mask of #{name}" do
        held = gate
        shaper = manager(work: ->(_, _, _) { held.pass })
        Thread.handle_interrupt(masked => :never) do
          shaper.enqueue(:key, :message, 0, 0)
          eventually { held.waiting == 1 }
        end
        calls.of(:work).first.thread.raise(IOError, "interrupted")
        drained(shaper)
        expect(calls.errors.map(&:message)).to eq(["interrupted"])
      end
    end

    it "can be killed while parked, as the acknowledger can" do
      shaper = manager
      Thread.handle_interrupt(Object => :never) do
        shaper.enqueue(:key, :message, 0, 0)
        drained(shaper)
      end
      kill(manager_threads.select(&:alive?))
      shaper.enqueue(:key, :message, 0, 1)
      drained(shaper)
      expect(calls.acks).to eq([0, 1])
    end

    it "shut down all the same" do
      shaper = nil
      Thread.handle_interrupt(Object => :never) do
        shaper = manager
        5.times { |n| shaper.enqueue(n, n, 0, n) }
      end
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
    end
  end

  it "do not inherit the priority, group or thread variables of the thread that enqueues" do
    shaper = manager(work: lambda { |_, _, _|
      calls.note(:seen, message: [Thread.current[:mine], Thread.current.thread_variable_get(:mine)])
    })
    value_of(in_thread do
      Thread.current[:mine] = 1
      Thread.current.thread_variable_set(:mine, 1)
      shaper.enqueue(:key, :message, 0, 0)
    end)
    drained(shaper)
    expect(calls.of(:seen).map(&:message)).to eq([[nil, nil]])
  end

  describe "killed while parked" do
    it "are replaced when needed, up to concurrency again" do
      shaper = occupiable_manager(concurrency: 3)
      5.times do |round|
        occupy(shaper, 3, from: round * 10).open
        drained(shaper)
        kill(worker_threads)
        eventually { shaper.stats[:workers].zero? }
      end
      occupy(shaper, 3, from: 100).open
      drained(shaper)
      expect(shaper.stats).to include(total_acked: 18, fatal: nil, shutting_down: false)
    end

    it "leave no message behind when exceptions from outside hit them at any time (I5)" do
      shaper = manager(concurrency: 3)
      without_thread_reports do
        produced = in_thread { 1_000.times { |n| shaper.enqueue(n % 10, n, 0, n) } }
        until produced.join(ManagerHelpers::POLL_SEC)
          victim = worker_threads.sample
          victim&.raise(IOError, "from outside")
        end
        value_of(produced)
      end
      drained(shaper)
      expect(shaper.stats).to include(total_acked: 1_000, fatal: nil)
      expect(calls.acks).to eq((0...1_000).to_a)
    end

    it "do not keep shutdown from ending" do
      shaper = occupiable_manager(concurrency: 3)
      occupy(shaper, 3).open
      drained(shaper)
      kill(worker_threads)
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
    end

    it "are replaced for what waits when the manager shuts down" do
      shaper = occupiable_manager(concurrency: 2)
      occupy(shaper, 2).open
      drained(shaper)
      kill(worker_threads)
      shaper.enqueue(:key, :message, 0, 0)
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
      expect(calls.acks(0)).to eq([0])
    end
  end

  it "are not retired by a spurious wake-up" do
    shaper = occupiable_manager(concurrency: 3)
    occupy(shaper, 3).open
    drained(shaper)
    before = worker_threads
    20.times { manager_threads.each { |thread| thread.wakeup if thread.alive? } && Thread.pass }
    occupy(shaper, 3, from: 10).open
    drained(shaper)
    expect(worker_threads).to match_array(before)
  end

  context "when one sub key has a thousand messages and another's comes behind them" do
    # Who of them started when; `work` is done of each.
    def started(concurrency, &work)
      held = gate
      shaper = manager(concurrency: concurrency, max_in_queue: 2_000,
                       work: ->(message, _, _) { message == :head ? held.pass : work&.call(message) })
      concurrency.times { |n| shaper.enqueue([:head, n], :head, 0, n) }
      settle(shaper, running: concurrency)
      1_000.times { |n| shaper.enqueue(:busy, :busy, 0, concurrency + n) }
      shaper.enqueue(:other, :other, 1, 0)
      held.open
      drained(shaper)
      calls.started
    end

    it "start the oldest message first, so that little is finished beyond an unfinished one" do
      expect(started(1).last).to eq(:other)
    end

    it "give the busy sub key one worker, and what comes behind it the others" do
      other_started = gate
      order = started(2) { |message| message == :busy ? other_started.pass : other_started.open }
      expect(order.index(:other)).to be_between(2, 3)
    end
  end

  it "belong to their manager alone" do
    first = manager(concurrency: 1)
    second_calls = ManagerHelpers::Calls.new
    second = manager(concurrency: 1, calls: second_calls)
    10.times do |n|
      first.enqueue(n, n, 0, n)
      second.enqueue(n, n, 0, n)
    end
    drained(first)
    drained(second)
    threads = [calls, second_calls].map { |own| own.of(:work).map(&:thread).uniq }
    expect(threads[0] & threads[1]).to be_empty
    first.shutdown
    second.enqueue(:key, :message, 0, 10)
    drained(second)
    expect(second_calls.acks.last).to eq(10)
  end

  it "use no CPU while parked, nor does the acknowledger (I9)" do
    shaper = occupiable_manager(concurrency: 25, offset_commit_period_ms: 1)
    occupy(shaper, 25).open
    drained(shaper)
    before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    expect(worker_threads.first.join(0.5)).to be_nil
    expect(Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before).to be < 0.1
  end
end
