# frozen_string_literal: true

require "English"
require "spec_helper"

RSpec.describe WorkShaper::Manager, "failures" do
  def logged_errors
    log.messages("ERROR").join("\n") + log.messages("FATAL").join("\n")
  end

  # The offset 1 of :p does what the block says; 0 and 2 share its sub key, others do not.
  def run_with(calls: self.calls, **settings, &block)
    shaper = manager(calls: calls, **settings, work: ->(message, p, o) { block.call(p, o) if message == :bad })
    shaper.enqueue(:key, :first, :p, 0)
    shaper.enqueue(:key, :bad, :p, 1)
    shaper.enqueue(:key, :last, :p, 2)
    shaper
  end

  describe "of work or on_done with a StandardError" do
    it "calls on_error with the very exception and all arguments, and counts the offset as finished" do
      error = IOError.new("disk")
      shaper = drained(run_with { raise error })

      expect(calls.of(:error)).to contain_exactly(
        have_attributes(error: equal(error), message: :bad, partition: :p, offset: 1)
      )
      expect(calls.acks).to eq([0, 1, 2])
      expect(calls.of(:done).map(&:message)).to eq(%i[first last])
      expect(shaper.stats).to include(total_failed: 1, total_acked: 3, fatal: nil, shutting_down: false)
    end

    it "calls on_error for what on_done raises, too" do
      shaper = manager(on_done: ->(_, _, offset) { raise IOError, "disk" if offset == 1 })
      3.times { |n| shaper.enqueue(:key, n, 0, n) }
      drained(shaper)
      expect(calls.of(:error).map { |call| [call.error.class, call.offset] }).to eq([[IOError, 1]])
      expect(calls.acks).to eq([0, 1, 2])
    end

    it "runs on_error on the worker, where $! of work is gone once it returned" do
      during = after = :unset
      shaper = manager(work: ->(message, _, _) { message == :bad ? raise("failed") : (after = $ERROR_INFO) },
                       on_error: ->(error, _, _, _) { during = error.message })
      shaper.enqueue(:key, :bad, 0, 0)
      shaper.enqueue(:key, :good, 0, 1)
      drained(shaper)
      expect([during, after]).to eq(["failed", nil])
      expect(calls.of(:error).first.thread.name).to start_with("work_shaper worker")
    end

    {
      "StopIteration" => -> { raise StopIteration }, "Timeout::Error" => -> { raise Timeout::Error },
      "UncaughtThrowError" => -> { throw :nowhere }, "LocalJumpError" => -> { orphan_proc.call },
      "FrozenError" => -> { "" << "x" }, "NoMethodError" => -> { nil.nothing },
      "FiberError" => -> { Fiber.yield }, "ThreadError" => -> { Mutex.new.unlock },
      "Errno::ENOENT" => -> { File.read("/nowhere/at/all") }, "WorkShaper::Full" => -> { raise WorkShaper::Full }
    }.each do |name, failure|
      it "counts #{name} as one of them" do
        shaper = drained(run_with { instance_exec(&failure) })
        expect(calls.errors.map { |error| error.class.name }).to eq([name])
        expect(calls.acks).to eq([0, 1, 2])
        expect(shaper.stats).to include(total_failed: 1, fatal: nil)
      end
    end

    # A proc whose method has returned.
    def orphan_proc
      proc { return 1 }
    end

    it "counts what another thread raises in a worker as one of them" do
      entered = gate
      held = gate
      shaper = run_with do
        entered.open
        held.pass
      end
      entered.pass
      worker = calls.of(:work).last.thread
      worker.raise(IOError, "from outside")
      drained(shaper)
      expect(calls.errors.map(&:message)).to eq(["from outside"])
      expect(calls.acks).to eq([0, 1, 2])
    end

    it "logs it when there is no on_error" do
      shaper = bare_manager(work: ->(_, _, _) { raise IOError, "disk full" }, ack: lambda { |p, o|
        calls.note(:ack, partition: p, offset: o)
      })
      shaper.enqueue(:key, :message, "topic", 77)
      drained(shaper)
      expect(logged_errors).to include("disk full").and include("77")
      expect(calls.acks).to eq([77])
    end

    it "counts the offset as finished though the message of the error cannot be written as JSON" do
      WorkShaper.logger = Logger.new(StringIO.new, formatter: WorkShaper.formatter)
      shaper = keep(described_class.new(work: ->(_, _, _) { raise "\xFF\xFE" }, ack: ->(_, _) {}))
      shaper.enqueue("\xFF", :message, "\xFE", 0)
      drained(shaper)
      expect(shaper.stats).to include(total_acked: 1, fatal: nil)
    end

    it "counts the offset as finished though the error itself raises when asked for its message" do
      error = Class.new(StandardError) { define_method(:message) { raise "no message" } }
      shaper = bare_manager(work: ->(_, _, _) { raise error }, ack: ->(_, _) {})
      3.times { |n| shaper.enqueue(:key, :message, 0, n) }
      drained(shaper)
      expect(shaper.stats).to include(total_acked: 3, fatal: nil)
    end

    it "loses nothing when the logger raises (I5)" do
      faulty = Class.new(Logger) { define_method(:add) { |*| raise IOError, "log is full" } }
      %i[error warn info debug].each { |level| faulty.define_method(level) { |*| raise IOError, "log is full" } }
      log
      WorkShaper.logger = faulty.new(StringIO.new)
      shaper = keep(described_class.new(work: ->(_, _, _) { raise "failed" }, ack: ->(_, o) { o.odd? }))
      6.times { |n| shaper.enqueue(:key, :message, 0, [0, 1, 2, 3, 3, 0][n]) }
      drained(shaper)
      expect(shaper.stats).to include(total_acked: 6, fatal: nil)
      WorkShaper.logger = @log
    end

    it "goes on through thousands of failures" do
      shaper = manager(concurrency: 4, work: ->(_, _, _) { raise "failed" })
      2_000.times { |n| shaper.enqueue(n % 50, n, 0, n) }
      drained(shaper)
      expect(calls.errors.size).to eq(2_000)
      expect(calls.acks).to eq((0...2_000).to_a)
      expect(shaper.stats[:workers]).to be <= 4
    end
  end

  describe "of on_error" do
    it "logs what it raises and counts the offset as finished" do
      shaper = drained(run_with(on_error: ->(*) { raise IOError, "pager is down" }) { raise "failed" })
      expect(logged_errors).to include("pager is down")
      expect(calls.acks).to eq([0, 1, 2])
      expect(shaper.stats).to include(total_failed: 1, fatal: nil)
    end

    it "is not called a second time by its own failure" do
      drained(run_with(on_error: ->(*) { raise IOError, "pager is down" }) { raise "failed" })
      expect(calls.errors.map(&:message)).to eq(["failed"])
    end
  end

  describe "of work that are none: meant for the process, or a kill" do
    around { |example| without_thread_reports { example.run } }

    fatal = {
      "a NoMemoryError" => -> { raise NoMemoryError, "the end" },
      "Thread.exit" => -> { Thread.exit },
      "Thread#kill of itself" => -> { Thread.current.kill }
    }

    fatal.each do |name, failure|
      it "never acknowledges it after #{name}, shuts down, and says why (I3)" do
        shaper = run_with { failure.call }
        eventually { shaper.stats[:fatal] }
        expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)

        expect(shaper.stats).to include(fatal: an_instance_of(String), shutting_down: true)
        expect(calls.started).to eq(%i[first bad])
        expect(calls.acks).to eq([0])
        expect(calls.errors).to be_empty
        expect { shaper.enqueue(:key, :late, :p, 3) }.to raise_error(WorkShaper::ShuttingDown)
      end
    end

    it "never runs what waits behind it, but all the rest, which is acknowledged as far as it may be" do
      held = gate
      shaper = manager(concurrency: 3, work: lambda do |message, _, _|
        held.pass
        Thread.exit if message == :bad
      end)
      shaper.enqueue(:a, :bad, :p, 5)
      shaper.enqueue(:b, :fine, :p, 4)
      settle(shaper, running: 2)
      shaper.enqueue(:a, :behind, :q, 0)
      shaper.enqueue(:c, :other, :p, 6)
      shaper.enqueue(:c, :other, :q, 1)
      3.times { |n| shaper.enqueue([:d, n], :other, :r, n) }
      held.open
      eventually { shaper.stats[:fatal] }

      expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)
      expect(calls.worked).to match_array([:fine] + ([:other] * 5))
      expect([calls.acks(:p), calls.acks(:q), calls.acks(:r)]).to eq([[4], [], [0, 1, 2]])
    end

    it "says what it was in stats and in the log" do
      shaper = run_with { raise NoMemoryError, "not now" }
      eventually { shaper.stats[:fatal] }
      bounded { shaper.shutdown(timeout: 10) }
      expect(shaper.stats[:fatal]).to include("NoMemoryError: not now")
      expect(log.lines.map(&:last).join).to include("NoMemoryError: not now")
    end

    it "leaves the exception to Ruby: the thread ends with it" do
      entered = gate
      shaper = run_with do
        entered.pass
        raise NoMemoryError, "not now"
      end
      settle(shaper, running: 1, waiting: 1)
      worker = calls.of(:work).last.thread
      entered.open
      expect { worker.join(ManagerHelpers::DEADLINE) }.to raise_error(NoMemoryError, "not now")
    end

    it "does the same for a worker that is killed while it works (I8)" do
      held = gate
      shaper = run_with { held.pass }
      settle(shaper, running: 1, waiting: 1)
      calls.of(:work).last.thread.kill
      eventually { shaper.stats[:fatal] }
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)
      expect(calls.started).to eq(%i[first bad])
      expect(calls.acks).to eq([0])
    end

    it "releases callers that wait in drain and in enqueue" do
      held = gate
      shaper = manager(max_in_flight: 1, work: lambda do |_, _, _|
        held.pass
        Thread.exit
      end)
      shaper.enqueue(:key, :message, 0, 0)
      draining = blocked_thread { shaper.drain }
      blocked = blocked_thread { shaper.enqueue(:key, :message, 0, 1) }
      held.open
      expect(value_of(draining)).to be(false)
      expect { value_of(blocked) }.to raise_error(WorkShaper::ShuttingDown)
    end

    it "leaves other managers alone" do
      other_calls = ManagerHelpers::Calls.new
      other = manager(calls: other_calls)
      shaper = run_with { Thread.exit }
      eventually { shaper.stats[:fatal] }
      10.times { |n| other.enqueue(n, n, 0, n) }
      drained(other)
      expect(other.stats).to include(fatal: nil, shutting_down: false, total_acked: 10)
    end
  end

  describe "of ack" do
    around { |example| without_thread_reports { example.run } }

    { "a StandardError" => -> { raise IOError, "no broker" },
      "StopIteration" => -> { raise StopIteration, "no broker" },
      "what is no StandardError" => -> { raise NotImplementedError, "no broker" } }.each do |name, failure|
      %i[every latest].each do |acks|
        it "with #{name}, acks: #{acks.inspect}: nothing more is acknowledged, the manager shuts down and says why" do
          shaper = manager(acks: acks, ack: ->(partition, offset) { failure.call if [partition, offset] == [:p, 0] })
          shaper.enqueue(:q, :m, :q, 0)
          drained(shaper)
          shaper.enqueue(:p, :m, :p, 0)
          eventually { shaper.stats[:fatal] }
          expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)
          bounded { shaper.flush }

          expect(shaper.stats).to include(fatal: match(/ack/i), shutting_down: true, total_acked: 1)
          expect(calls.of(:ack).map { |call| [call.partition, call.offset] }).to eq([[:q, 0], [:p, 0]])
          expect(shaper.stats[:partitions][:p]).to include(last_acked: nil)
          expect(logged_errors).to include("no broker")
        end
      end
    end

    it "still runs what is enqueued" do
      held = gate
      shaper = manager(concurrency: 2, work: ->(message, _, _) { held.pass if message == :held },
                       ack: ->(_, _) { raise "no broker" })
      shaper.enqueue(:a, :held, :p, 0)
      3.times { |n| shaper.enqueue(:a, n, :p, n + 1) }
      settle(shaper, running: 1, waiting: 3)
      shaper.enqueue(:b, :free, :q, 0)
      eventually { shaper.stats[:fatal] }
      held.open
      expect(bounded { shaper.shutdown(timeout: 10) }).to be(false)
      expect(calls.worked).to contain_exactly(:held, 0, 1, 2, :free)
      expect(calls.acks).to eq([0])
      expect(threads_left).to be_empty
    end
  end

  it "replaces an acknowledger that was killed, and acknowledges all the same" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    drained(shaper)
    3.times do |round|
      acknowledger = manager_threads.find { |thread| thread.name == "work_shaper acknowledger" }
      acknowledger.kill
      expect(acknowledger.join(ManagerHelpers::DEADLINE)).to equal(acknowledger)
      shaper.enqueue(:key, :message, 0, round + 1)
      drained(shaper)
    end
    expect(calls.acks).to eq([0, 1, 2, 3])
    expect(shaper.stats).to include(fatal: nil, shutting_down: false)
  end
end
