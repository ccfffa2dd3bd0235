# frozen_string_literal: true

require "spec_helper"

# Each example is a defect of WorkShaper 0.1.3.1, named by what that version did; it shows that this one does not.
RSpec.describe "WorkShaper 0.1.3" do
  # A manager whose messages wait for one gate, but :free ones.
  def held_manager(**settings)
    @held = gate
    manager(work: ->(message, _, _) { @held.pass unless message == :free }, **settings)
  end

  def cpu_seconds
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  end

  describe "its limits" do
    it "blocked enqueue for every sub key behind a slow one" do
      shaper = held_manager(max_in_queue: 3)
      shaper.enqueue(:slow, :slow, 0, 0)
      3.times { |n| shaper.enqueue(:slow, :free, 0, n + 1) }
      bounded { 100.times { |n| shaper.enqueue([:fast, n % 10], :free, 0, n + 4) } }
      eventually { calls.worked.size == 100 }
      settle(shaper, running: 1, waiting: 3)
      expect(shaper.stats).to include(running: 1, waiting: 3)
    end

    it "counted max_in_queue over all sub keys, though documented per sub key" do
      shaper = held_manager(max_in_queue: 2, concurrency: 4)
      4.times { |key| shaper.enqueue(key, :held, 0, key) }
      settle(shaper, running: 4)
      waiting = (0..7).select { |n| shaper.try_enqueue(n % 4, :free, 0, n + 4) }
      expect(waiting.size).to eq(8)
      expect(shaper.try_enqueue(0, :free, 0, 100)).to be(false)
    end

    it "had a default of 3 for max_in_queue where its README said 25" do
      shaper = held_manager
      shaper.enqueue(:key, :held, 0, 0)
      settle(shaper, running: 1)
      expect((1..30).count { |n| shaper.try_enqueue(:key, :free, 0, n) }).to eq(25)
    end

    it "failed in enqueue when max_in_queue came from the environment, as in its README" do
      with_env("MAX_THREAD_QUEUE_SIZE" => "7") do
        shaper = manager(max_in_queue: ENV.fetch("MAX_THREAD_QUEUE_SIZE", 25))
        20.times { |n| shaper.enqueue(n, :message, 0, n) }
        drained(shaper)
        expect(calls.acks.size).to eq(20)
      end
    end

    it "left callers that were blocked in enqueue there for ever at shutdown" do
      shaper = held_manager(max_in_queue: 1)
      shaper.enqueue(:key, :held, 0, 0)
      settle(shaper, running: 1)
      shaper.enqueue(:key, :free, 0, 1)
      blocked = blocked_thread { shaper.enqueue(:key, :free, 0, 2) }
      shaper.request_shutdown
      expect { value_of(blocked) }.to raise_error(WorkShaper::ShuttingDown)
    end

    it "waited for itself when work enqueued into a full manager" do
      shaper = nil
      shaper = manager(max_in_flight: 1, work: ->(_, _, _) { shaper.enqueue(:other, :message, 0, 1) })
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(calls.errors.map(&:class)).to eq([WorkShaper::Full])
    end

    it "took a period of 0 for a busy loop, and an interval of nil for a reason to shut down" do
      expect { manager(offset_commit_period_ms: 0) }.to raise_error(ArgumentError)
      log
      shaper = keep(WorkShaper::Manager.new(**calls.callbacks, heartbeat_period_sec: nil))
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(shaper.shutting_down).to be(false)
    end
  end

  describe "its threads" do
    it "were one for each sub key, and never went" do
      before = Thread.list.size
      shaper = manager(concurrency: 4, max_in_flight: 50)
      500.times { |n| shaper.enqueue("sub key #{n}", n, 0, n) }
      drained(shaper)
      expect(Thread.list.size - before).to be <= 5
      expect(shaper.stats).to include(sub_keys: 0, workers: be_between(1, 4))
    end

    it "burnt CPU behind a blocked head: it sorted the whole window every 5 ms" do
      shaper = held_manager(max_in_queue: 5_000, max_in_flight: 5_000)
      shaper.enqueue(:slow, :head, 0, 0)
      4_000.times { |n| shaper.enqueue(n % 50, :free, 0, n + 1) }
      settle(shaper, running: 1)
      before = cpu_seconds
      expect(manager_threads.first.join(0.5)).to be_nil
      expect(cpu_seconds - before).to be < 0.1
    end

    it "burnt CPU while enqueue was blocked: it asked every 5 ms, and reported" do
      shaper = held_manager(max_in_queue: 1)
      shaper.enqueue(:key, :held, 0, 0)
      settle(shaper, running: 1)
      shaper.enqueue(:key, :free, 0, 1)
      blocked = blocked_thread { shaper.enqueue(:key, :free, 0, 2) }
      lines = log.lines.size
      before = cpu_seconds
      expect(blocked.join(0.3)).to be_nil
      expect(cpu_seconds - before).to be < 0.1
      expect(log.lines.size - lines).to be <= 1
    end
  end

  describe "its acknowledgement" do
    [false, IOError.new("lost"), NotImplementedError.new("lost")].each do |answer|
      it "took #{answer.inspect} from ack for success (`is_a? Exception || !result`)" do
        shaper = manager(ack: ->(_, _) { answer })
        shaper.enqueue(:key, :message, 0, 3)
        drained(shaper)
        expect(shaper.stats[:partitions][0]).to include(last_acked: nil)
        expect(shaper.stats).to include(total_refused: 1, total_acked: 1)
        eventually { log.messages("WARN").join.include?("Ack") }
      end
    end

    it "went backwards when Kafka delivered again" do
      shaper = manager
      [10, 11, 5, 10, 12].each do |offset|
        shaper.enqueue(:key, offset, 0, offset)
        drained(shaper)
      end
      expect(calls.acks).to eq([10, 11, 12])
    end

    it "warned of every redelivered offset in a line of its own" do
      head = gate
      shaper = manager(max_in_queue: 1_000, work: ->(message, _, _) { head.pass if message == :head })
      shaper.enqueue(:key, :head, 0, 0)
      500.times { shaper.enqueue(:key, :again, 0, 0) }
      head.open
      drained(shaper)
      # All wait for the last copy, so they are acknowledged in one pass.
      eventually { log.entries(/duplicate/i, "WARN").any? }
      expect(log.entries(/duplicate/i, "WARN").size).to eq(1)
    end

    it "acknowledged the work of an offset that an Exception or a kill had ended" do
      without_thread_reports do
        held = gate
        work = lambda do |message, _, _|
          held.pass
          Thread.exit if message == :killed
        end
        shaper = manager(work: work)
        shaper.enqueue(:a, :fine, 0, 0)
        shaper.enqueue(:b, :killed, 0, 1)
        shaper.enqueue(:c, :fine, 0, 2)
        held.open
        bounded { shaper.shutdown(timeout: 10) }
        bounded { shaper.flush }
        expect(calls.acks).to eq([0])
      end
    end

    it "held enqueue, report and every finish back while ack ran" do
      slow = gate
      shaper = manager(ack: ->(_, _) { slow.pass })
      shaper.enqueue(:key, :message, 0, 0)
      eventually { slow.waiting == 1 }
      bounded do
        20.times { |n| shaper.enqueue(n, n, 1, n) }
        shaper.report(detailed: true)
      end
      eventually { calls.of(:done).size == 21 }
      expect(slow.waiting).to eq(1)
    end

    it "could not take a new partition while ack ran (a key added to a Hash during iteration)" do
      slow = gate
      shaper = manager(ack: ->(partition, _) { slow.pass if partition == 0 })
      shaper.enqueue(:key, :message, 0, 0)
      eventually { slow.waiting == 1 }
      bounded { 50.times { |partition| shaper.enqueue(partition, :message, partition + 1, 0) } }
      slow.open
      drained(shaper)
      expect(shaper.stats).to include(total_enqueued: 51, total_acked: 51)
    end

    it "deadlocked when ack called the manager" do
      seen = []
      shaper = nil
      shaper = manager(ack: lambda do |_, offset|
        shaper.report
        seen << shaper.stats[:in_flight] << shaper.flush
        shaper.enqueue(:more, :message, 1, offset) if offset < 5
        nil
      end)
      5.times { |n| shaper.enqueue(:key, :message, 0, n) }
      eventually { calls.acks(1).size == 5 }
      drained(shaper)
      expect(seen).not_to be_empty
    end

    it "neither stopped nor went on when ack raised: shutdown failed inside its own lock" do
      without_thread_reports do
        held = gate
        shaper = manager(work: ->(_, _, _) { held.pass }, ack: ->(_, _) { raise IOError, "no broker" })
        5.times { |n| shaper.enqueue(n, n, 0, n) }
        held.open
        eventually { shaper.shutting_down }
        expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)
        expect(calls.acks.size).to eq(1)
        expect(threads_left).to be_empty
      end
    end

    it "never acknowledged again after one offset that was not an Integer" do
      shaper = manager
      shaper.enqueue(:key, :message, 0, 0)
      [nil, "1", 1.5].each { |offset| expect { shaper.enqueue(:key, :message, 0, offset) }.to raise_error(TypeError) }
      shaper.enqueue(:key, :message, 0, 1)
      drained(shaper)
      expect(calls.acks).to eq([0, 1])
    end

    it "called ack for every offset, never once for many" do
      head = gate
      shaper = manager(acks: :latest, work: ->(message, _, _) { head.pass if message == 0 })
      50.times { |n| shaper.enqueue(n, n, 0, n) }
      settle(shaper, running: 1)
      head.open
      drained(shaper)
      expect(calls.acks).to eq([49])
    end

    it "never forgot a partition: when it came back from another consumer, lower offsets were duplicates" do
      shaper = manager
      shaper.enqueue(:key, :message, 0, 100)
      drained(shaper)
      shaper.revoke(0)
      shaper.enqueue(:key, :message, 0, 50)
      drained(shaper)
      expect(calls.acks).to eq([100, 50])
      expect(log.messages("WARN")).to be_empty
    end

    it "acknowledged late results after the partition was gone, and ran one sub key twice when it returned" do
      shaper = held_manager
      shaper.enqueue(:key, :held, 0, 5)
      settle(shaper, running: 1)
      shaper.revoke(0)
      shaper.enqueue(:key, :free, 0, 5)
      settle(shaper, running: 1, waiting: 1)
      @held.open
      drained(shaper)
      expect(calls.all.map { |call| [call.kind, call.message] })
        .to eq([%i[work held], %i[worked held], %i[done held], %i[work free], %i[worked free], %i[done free],
                [:ack, nil]])
    end
  end

  describe "its flush" do
    it "slept for 5 seconds" do
      shaper = manager
      began = ManagerHelpers.now
      shaper.flush
      expect(ManagerHelpers.now - began).to be < 4
    end

    it "worked without its lock when asked with safe: false" do
      shaper = manager
      stopped = false
      flushers = Array.new(3) { in_thread { shaper.flush(safe: false) until stopped } }
      500.times { |n| shaper.enqueue(n % 10, n, n % 2, n) }
      drained(shaper)
      stopped = true
      flushers.each { |flusher| value_of(flusher) }
      2.times { |partition| expect(calls.acks(partition)).to eq((0...500).select { |n| n % 2 == partition }) }
    end
  end

  describe "its shutdown" do
    it "finished 20 of 20 and acknowledged none of them" do
      shaper = held_manager
      20.times { |n| shaper.enqueue(n, n, 0, n) }
      settle(shaper, running: 20)
      stopping = blocked_thread { shaper.shutdown }
      @held.open
      expect(value_of(stopping)).to be(true)
      expect(calls.worked.size).to eq(20)
      expect(calls.acks).to eq((0...20).to_a)
    end

    it "waited for ever for work that hung" do
      shaper = held_manager
      shaper.enqueue(:key, :hangs, 0, 0)
      settle(shaper, running: 1)
      expect(bounded { shaper.shutdown(timeout: 0.05) }).to be(false)
    end

    it "could not be called twice, nor by two threads" do
      shaper = manager
      shaper.enqueue(:key, :message, 0, 0)
      answers = Array.new(4) { in_thread { shaper.shutdown } }.map { |thread| value_of(thread) }
      expect(answers + [shaper.shutdown]).to all(be(true))
    end

    it "waited for itself when a callback called it" do
      errors = []
      shaper = nil
      shaper = manager(on_error: lambda do |_, _, _, _|
        shaper.shutdown
      rescue WorkShaper::Error => e
        errors << e
      end, work: ->(_, _, _) { raise "failed" })
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(errors.size).to eq(1)
    end

    it "could not be asked for in a trap handler (a lock is taken)" do
      shaper = manager
      before = trap("USR2") { @asked = shaper.request_shutdown || true }
      Process.kill("USR2", Process.pid)
      eventually { @asked }
      expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
    ensure
      trap("USR2", before || "DEFAULT")
    end

    it "let enqueue raise with the counter raised already, so that in_flight never came to 0" do
      shaper = manager
      producers = Array.new(3) do |producer|
        in_thread do
          200.times { |n| shaper.enqueue([producer, n], n, producer, n) }
        rescue WorkShaper::ShuttingDown
          nil
        end
      end
      eventually { calls.worked.size > 5 }
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(true)
      producers.each { |producer| value_of(producer) }
      expect(shaper.stats).to include(in_flight: 0, total_enqueued: calls.worked.size)
    end

    it "raised a StandardError from enqueue, which callers that rescued it can still rescue" do
      shaper = manager
      shaper.shutdown
      expect { shaper.enqueue(:key, :message, 0, 0) }.to raise_error(StandardError, /shutting down/i)
    end
  end
end
