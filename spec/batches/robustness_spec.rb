# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Batches, "against what may happen to its threads and its process" do
  let(:first) { lambda(&:first) }

  describe "when the calling thread is cut off" do
    cuts = {
      "killed" => lambda(&:kill),
      "raised into" => ->(thread) { thread.raise(IOError, "enough") },
      "timed out" => ->(thread) { thread.raise(Timeout::Error, "execution expired") },
      "interrupted" => ->(thread) { thread.raise(Interrupt, "") }
    }
    { "waiting" => 10_000, "full" => 3 }.each do |state, limit|
      cuts.each do |name, cut|
        it "drops what waits, and lets what runs finish without effect on the next batch: #{name} while #{state}" do
          held = gate
          shaper = noting(concurrency: 2, max_in_flight: limit) { |key, _| held.pass if key == :old }
          told = []
          old = Array.new(20) { |number| [:old, number] }
          caller = waiting_in(shaper, old, sub_key: first, ack: ->(message) { told << message })
          eventually { held.waiting == 1 }
          cut.call(caller)
          begin
            caller.join(ManagerHelpers::DEADLINE)
          rescue IOError, Timeout::Error, Interrupt
            nil
          end
          expect(caller).not_to be_alive
          expect(shaper.stats).to include(waiting: 0, running: 1, batches: 0)

          bounded { shaper.process([[:new, 0]], sub_key: first) }
          again = waiting_in(shaper, [[:old, 99]], sub_key: first)
          expect(calls.started).to eq([[:old, 0], [:new, 0]])
          held.open
          value_of(again)
          expect(calls.worked.last(2)).to eq([[:old, 0], [:old, 99]])
          expect(told).to be_empty
        end
      end
    end

    it "does not tell a later batch of what the running work of a dropped one raised" do
      held = gate
      shaper = noting(concurrency: 2) do |_, number|
        held.pass
        raise IOError, "late" if number.zero?
      end
      caller = waiting_in(shaper, [[:old, 0]], sub_key: first)
      eventually { held.waiting == 1 }
      caller.kill.join
      after = waiting_in(shaper, [[:old, 1]], sub_key: first)
      held.open
      expect(value_of(after)).to be_nil
      expect(shaper.stats).to include(total_failed: 1, fatal: nil)
    end

    it "survives it at any moment" do
      random = Random.new(RSpec.configuration.seed)
      shaper = noting(concurrency: 4, max_in_flight: 50) { Thread.pass }
      all = messages(keys: 9, each: 20)
      150.times do
        caller = in_thread { shaper.process(all, sub_key: first, ack: ->(_) {}) }
        random.rand(40).times { Thread.pass }
        caller.kill
        expect(caller.join(ManagerHelpers::DEADLINE)).to be(caller)
      end
      settle(shaper)
      expect(shaper.stats).to include(batches: 0, sub_keys: 0, fatal: nil)
      before = calls.worked.size
      bounded { shaper.process(all, sub_key: first) }
      expect(calls.worked.size).to eq(before + all.size)
    end
  end

  describe "when work is cut off" do
    ways = {
      "kills its thread" => [-> { Thread.current.kill }, nil],
      "leaves its thread" => [-> { Thread.exit }, nil],
      "runs out of memory" => [-> { raise NoMemoryError, "failed to allocate" }, NoMemoryError]
    }
    ways.each do |name, (way, cause)|
      it "raises ShuttingDown in every batch instead of hanging, for ever: #{name}" do
        without_thread_reports do
          held = gate
          shaper = noting(concurrency: 4) do |key, number|
            held.pass
            way.call if [key, number] == [:a, 0]
          end
          callers = [waiting_in(shaper, [[:a, 0], [:a, 1], [:b, 0]], sub_key: first)]
          eventually { held.waiting == 2 }
          # Its message waits behind the one that is cut off, and goes with it.
          callers << waiting_in(shaper, [[:a, 2]], sub_key: first)
          held.open
          errors = callers.map do |caller|
            value_of(caller)
          rescue WorkShaper::ShuttingDown => e
            e
          end

          expect(errors.map(&:message)).to all(include("work of partition (a batch of 3) offset 0"))
          expect(errors.map { |error| error.cause&.class }).to eq([cause, nil])
          expect { shaper.process([1], sub_key: nil) }.to raise_error(WorkShaper::ShuttingDown, /a batch of 3/)
          expect(shaper.stats[:fatal]).to include("a batch of 3")
          expect(calls.started).not_to include([:a, 1], [:a, 2])
        end
      end
    end

    it "raises what somebody raised into a thread at work, like any other error" do
      held = gate
      threads = []
      shaper = noting(concurrency: 1) { (threads << Thread.current) && held.pass }
      caller = waiting_in(shaper, [1], sub_key: nil)
      eventually { held.waiting == 1 }
      threads.last.raise(IOError, "from outside")
      expect { value_of(caller) }.to raise_error(IOError, "from outside")
      held.open
      expect(shaper.process([2], sub_key: nil)).to be_nil
    end

    it "treats throw, break and return as errors" do
      out_of_nowhere = method(:work_that_leaves)
      [-> { throw :nowhere }, -> { out_of_nowhere.call.call }].each do |way|
        shaper = noting { way.call }
        expect { bounded { shaper.process([1], sub_key: nil) } }.to raise_error(StandardError)
      end
    end

    def work_that_leaves
      proc { return 1 }
    end

    it "finishes the batch when the log breaks, and when an error cannot be shown" do
      broken = Class.new(StandardError) { def message = raise("no message") }
      shaper = noting(concurrency: 1) { |message| raise message.zero? ? IOError : broken }
      log.formatter = proc { raise "no log" }
      2.times do
        expect { bounded { shaper.process([0, 1, 2], sub_key: nil) } }.to raise_error(IOError)
      end
    ensure
      log.formatter = nil
    end
  end

  describe "in a process" do
    prelude = <<~RUBY
      require "work_shaper/batches"

      def batches(**settings, &work)
        WorkShaper::Batches.new(heartbeat_period_sec: 0, **settings, &work)
      end
    RUBY

    it "ends with the status that work exits with" do
      result = run_ruby(<<~RUBY)
        #{prelude}
        shaper = batches { |message| exit(7) if message == 2 }
        shaper.process([1, 2, 3], sub_key: nil)
        shaper.process([1], sub_key: nil)
        warn "went on"
      RUBY
      expect([result.status.exitstatus, result.stderr]).to eq([7, ""]), -> { result.to_s }
    end

    it "ends while batches wait and run" do
      expect_child_to_pass(<<~RUBY, limit: 10)
        #{prelude}
        shaper = batches(concurrency: 2, max_in_flight: 5) { sleep }
        3.times { asleep_in { shaper.process((0..9).to_a, sub_key: nil) } }
        passed
      RUBY
    end

    it "lets Ctrl-C out of process, and goes on if told to" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        gate = Queue.new
        shaper = batches(concurrency: 2) { |message| gate.pop if message == :held; worked << message }
        Thread.new { wait_until("at work") { gate.num_waiting == 1 }; Process.kill(:INT, Process.pid) }
        raised(Interrupt) { shaper.process([:held, :behind], sub_key: ->(_) { :one }) }
        shaper.process([:other], sub_key: nil)
        gate.close
        same(true, shaper.shutdown(timeout: 10), "shutdown")
        same([:other, :held], worked, "worked")
        passed
      RUBY
    end

    it "raises ForkedProcess in a child, and is untouched in the parent" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        gate = Queue.new
        shaper = batches(concurrency: 2) { |message| gate.pop; worked << message }
        caller = asleep_in { shaper.process((0..9).to_a, sub_key: nil) }
        status = child_status(fork do
          [-> { shaper.process([1], sub_key: nil) }, -> { shaper.process([], sub_key: nil) }, -> { shaper.stats }]
            .each { |call| raised(WorkShaper::ForkedProcess) { call.call } }
          same([true, true], [shaper.shutdown, shaper.shutdown(timeout: 1)], "nothing to end")
          shaper.inspect
          own = batches { |message| worked << message }
          own.process([:own], sub_key: nil)
          same([:own], worked, "worked in the child")
          same(true, own.shutdown(timeout: 5), "shutdown in the child")
        end)
        check(status.success?, "the child ended well: \#{status}")
        gate.close
        ended(caller)
        same((0..9).to_a, worked.sort, "worked")
        same(true, shaper.shutdown(timeout: 10), "shutdown")
        passed
      RUBY
    end

    { "the work" => ["fork_once.call", "nil", "nil"],
      "sub_key" => ["nil", "fork_once.call", "nil"],
      "ack" => ["nil", "nil", "fork_once.call"] }.each do |name, (work, sub_key, ack)|
      it "may fork in #{name}, with and without a block, and the child may leave" do
        expect_child_to_pass(<<~RUBY)
          #{prelude}
          parent = Process.pid
          pids = Queue.new
          { 3 => -> { fork { exit! 3 } }, nil => -> { fork }, 5 => -> { fork || exit(5) } }.each do |expected, forking|
            forked = false
            fork_once = lambda do
              next if forked

              forked = true
              pid = forking.call
              pids << pid if pid
            end
            shaper = batches(concurrency: 2) { |message| #{work}; worked << message if Process.pid == parent }
            begin
              shaper.process((0..9).to_a, sub_key: ->(_) { #{sub_key} }, ack: ->(_) { #{ack} })
            rescue WorkShaper::ForkedProcess
              exit!(Process.pid == parent ? 1 : 4)
            end
            # A child of sub_key has raised; one of ack comes back when all is finished; one of the work is its end.
            unless Process.pid == parent
              raised(WorkShaper::ForkedProcess) { shaper.process([1], sub_key: nil) }
              exit!(4)
            end
            status = child_status(pids.pop)
            check(!status.signaled?, "the child ends by itself: \#{status}")
            same(expected, status.exitstatus, "status of the child") if expected
            same(10, worked.size, "worked")
            worked.clear
            same(true, shaper.shutdown(timeout: 10), "shutdown")
          end
          passed
        RUBY
      end
    end

    it "works under GC stress, and with objects that move" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        #{prelude}
        shaper = batches(concurrency: 3, max_in_flight: 10) do |message|
          worked << message
          raise IOError, "no" if message == "8"
        end
        GC.auto_compact = true if GC.respond_to?(:auto_compact=)
        GC.stress = true
        raised(IOError) { shaper.process(Array.new(20, &:to_s), sub_key: ->(message) { message[-1] }, ack: ->(_) {}) }
        GC.stress = false
        GC.compact if GC.respond_to?(:compact)
        same((Array.new(20, &:to_s) - ["18"]).sort, worked.sort, "worked; 18 is left out behind 8")
        same(true, shaper.shutdown(timeout: 10), "shutdown")
        passed
      RUBY
    end

    it "keeps no batch alive that is over" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        shaper = batches(concurrency: 3) { |message| raise IOError, "no" if message == 3 }
        200.times { raised(IOError) { shaper.process((0..9).to_a, sub_key: nil, ack: ->(_) {}) } }
        batch = WorkShaper::Batches.const_get(:Batch)
        alive = -> { GC.start; ObjectSpace.each_object(batch).count }
        # What lies on the stacks of parked threads may keep a few.
        wait_until("batches collected") { alive.call < 20 }
        same(true, shaper.shutdown(timeout: 10), "shutdown")
        passed
      RUBY
    end
  end
end
