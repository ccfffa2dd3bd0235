# frozen_string_literal: true

require "rbconfig"
require "tempfile"

# Each example is a script in a process of its own, under a hard limit, since what is wrong here may hang for ever.
# These need neither the extension nor any helper of the suite.
RSpec.describe "WorkShaper::TimeLimit" do
  # What the scripts begin with.
  let(:prelude) do
    <<~RUBY
      $LOAD_PATH.unshift "#{File.expand_path("../../lib", __dir__)}"
      %w[errors guard safe_log time_limit].each { |name| require "work_shaper/\#{name}" }
      module WorkShaper
        class Timeout < Error; end unless const_defined?(:Timeout)
        class << self; attr_accessor :logger; end
      end
      TimeLimit = WorkShaper.const_get(:TimeLimit)
      Timeout = WorkShaper::Timeout
      Other = Class.new(StandardError)
      LOG = Queue.new
      WorkShaper.logger = Object.new.tap { |log| log.define_singleton_method(:warn) { |fields| LOG << fields } }
      Thread.report_on_exception = false

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      def all(queue) = Array.new(queue.size) { queue.pop }

      def check(truth, what)
        return if truth
        warn "FAILED: \#{what}", caller
        exit!(1)
      end

      def same(expected, actual, what = "value")
        check(expected == actual, "\#{what} is \#{actual.inspect}, not \#{expected.inspect}")
      end

      def wait_until(what, seconds = 10)
        limit = now + seconds
        until (result = yield)
          check(now < limit, "never came: \#{what}")
          sleep 0.001
        end
        result
      end

      def asleep(thread) = wait_until("\#{thread.inspect} asleep") { thread.stop? } && thread
      def compute(seconds) = (stop = now + seconds; nil while now < stop)
      def watcher(limit) = limit.instance_variable_get(:@watcher)

      # Whether a block that still runs was found to be late. Who raises has the lock.
      def fired?(limit)
        limit.instance_variable_get(:@lock).synchronize { limit.instance_variable_get(:@late).any? }
      end

      def raised
        yield
        nil
      rescue StandardError => e
        e
      end

      # Neither a block that is over nor a thread that ended is left behind.
      def expect_clean(limit)
        sizes = limit.instance_variables.to_h { |name| [name, limit.instance_variable_get(name)] }
        sizes.select! { |_, value| value.is_a?(Hash) || value.is_a?(Array) }
        check(sizes.any? && sizes.values.all?(&:empty?), "left behind: \#{sizes}")
        check(!Thread.current.pending_interrupt?, "nothing is pending")
      end

      # Calls the block on this thread, masked, at the moment when a block has ended: what comes then is late.
      def when_ending(limit, hook)
        called = false
        limit.define_singleton_method(:end_watching) do |watched|
          hook.call unless called
          called = true
          super(watched)
        end
        result = yield
      ensure
        check(called, "it ended while the hook was set")
      end
    RUBY
  end

  def expect_to_pass(script, limit: 20)
    file = Tempfile.new(["time_limit", ".rb"])
    file.write(prelude, script, "puts 'passed'\n")
    file.close
    expect(output_of(file.path, limit)).to eq("passed\n")
  ensure
    file&.close!
  end

  def output_of(path, limit)
    out = Tempfile.new("time_limit")
    pid = Process.spawn({ "RUBYOPT" => nil }, RbConfig.ruby, "--disable-gems", path,
                        %i[out err] => out.path, pgroup: true)
    waiter = Process.detach(pid)
    ended = waiter.join(limit * Watchdog::BUSY) or Process.kill(:KILL, -pid)
    waiter.join
    "#{"killed after #{limit} s: " unless ended}#{out.read}"
  ensure
    out&.close!
  end

  describe "a block that ends in time" do
    it "returns, raises, throws and breaks as without a limit" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(10)
        same(1, limit.run { 1 })
        same(2, limit.run(&-> { 2 }), "of a lambda")
        same(Other, raised { limit.run { raise Other } }.class)
        same(3, catch(:out) { limit.run { throw :out, 3 } })
        same(4, limit.run { break 4 })
        same(5, [5].each { |x| break limit.run { next x } })
        same(:exit, (begin; limit.run { exit }; rescue SystemExit; :exit; end))
        same([6, 7], [TimeLimit.new(Rational(1, 2)).run { 6 }, TimeLimit.new(1).run { limit.run { 7 } }])
        expect_clean(limit)
      RUBY
    end

    it "does not wake the watcher each time" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(10)
        waits = 0
        limit.instance_variable_get(:@changed).define_singleton_method(:wait) { |*arguments| waits += 1; super(*arguments) }
        500.times { limit.run { sleep 0.0001 } }
        check(waits < 10, "it waited \#{waits} times")
      RUBY
    end

    it "has the caller's masks" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.1)
        masked = nil
        error = raised do
          Thread.handle_interrupt(Other => :never) do
            Thread.current.raise(Other)
            masked = raised { limit.run { sleep } }.class
          end
        end
        same([Timeout, Other], [masked, error.class])
        masked = Thread.handle_interrupt(Object => :never) { raised { limit.run { sleep } }.class }
        same(Timeout, masked)
      RUBY
    end
  end

  describe "a block that takes too long" do
    it "gets an exception that says so, with its own backtrace" do
      expect_to_pass(<<~RUBY)
        def work = sleep
        limit = TimeLimit.new(0.05)
        error = raised { limit.run { work } }
        same([Timeout, "the work took longer than 0.05 s", nil], [error.class, error.message, error.cause])
        check(error.backtrace[1].include?("work"), error.backtrace)
        expect_clean(limit)
      RUBY
    end

    it "may swallow it and go on, and is told of once" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05, ->(thread) { { thread: thread } })
        result = limit.run do
          raised { sleep }
          wait_until("told") { LOG.size == 1 }
          raised { sleep 1.2 }.inspect
        end
        same("nil", result)
        same([[:message, :timeout_sec, :thread], 0.05, Thread.current],
             LOG.pop.then { |line| [line.keys, line[:timeout_sec], line[:thread]] })
        check(LOG.empty?, "told once")
        3.times { raised { limit.run { sleep } } }
        compute(1.2)
        check(LOG.empty?, "only what still runs is told of")
        expect_clean(limit)
      RUBY
    end

    it "that masks everything gets it at the end of its mask" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        after = false
        error = raised do
          limit.run do
            Thread.handle_interrupt(Object => :never) { wait_until("late") { fired?(limit) } }
            after = true
          end
        end
        same([Timeout, false], [error.class, after])
        same(:next, limit.run { :next })
      RUBY
    end

    it "has succeeded when it ended before the exception came" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        seen = []
        seen << raised { seen << when_ending(limit, -> { sleep 0.2 }) { limit.run { :result } } }
        seen << raised { compute(0.1) } << limit.run { :next }
        same([:result, nil, nil, :next], seen)
        expect_clean(limit)
      RUBY
    end

    it "while it raises in its ensure still fails with one of the two" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        error = raised { limit.run { begin; sleep; ensure; raise Other; end } }
        same([Other, Timeout], [error.class, error.cause.class])
        error = raised { limit.run { begin; raise Other; ensure; sleep; end } }
        same(Timeout, error.class)
        expect_clean(limit)
      RUBY
    end
  end

  it "never raises outside of the block, however close it comes" do
    expect_to_pass(<<~RUBY, limit: 120)
      limit = TimeLimit.new(0.0004)
      seen = Queue.new
      Array.new(4) do |seed|
        Thread.new do
          random = Random.new(seed)
          counts = Hash.new(0)
          5000.times do
            begin
              begin
                limit.run { random.rand < 0.5 ? sleep(random.rand * 0.0005) : compute(random.rand * 0.0008) }
                counts[:ok] += 1
              rescue Timeout
                counts[:late] += 1
              end
              random.rand < 0.1 ? sleep(0.0005) : Thread.pass
              Thread.handle_interrupt(Other => :never) { Thread.pass }
            rescue Timeout => e
              warn "ESCAPED", e.backtrace
            end
          end
          seen << counts << Thread.current.pending_interrupt?
        end
      end.each(&:join)
      counts, pending = all(seen).partition { |one| one.is_a?(Hash) }
      total = counts.inject { |one, other| one.merge(other) { |_, a, b| a + b } }
      same([[false], 20_000], [pending.uniq, total.values.sum], "all over")
      check(total[:late] > 500 && total[:ok] > 500, "close: \#{total}")
      expect_clean(limit)
    RUBY
  end

  describe "what others do to the thread" do
    it "a kill goes through at any moment, and leaves nothing armed" do
      expect_to_pass(<<~RUBY, limit: 60)
        limit = TimeLimit.new(0.0005)
        escaped = Queue.new
        random = Random.new(1)
        300.times do
          begun = Queue.new
          thread = Thread.new do
            loop do
              begin
                limit.run { begun << 1 if begun.empty?; sleep 0.0003; Thread.pass }
              rescue Timeout
                nil
              end
              Thread.pass
            rescue Timeout => e
              escaped << e
            end
          end
          begun.pop
          sleep(random.rand * 0.002)
          thread.kill
          check(thread.join(5), "killed")
        end
        check(escaped.empty?, "escaped")
        expect_clean(limit)
        same(Timeout, raised { limit.run { sleep } }.class)
      RUBY
    end

    it "a kill is not replaced by a Timeout in an ensure that computes" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(2)
        lives = Queue.new
        late = -> { compute(0.05) until limit.instance_variable_get(:@late).any?; compute(0.05) }
        thread = asleep(Thread.new { begin; limit.run { begin; sleep; ensure; late.call; end }; rescue Timeout; end; lives << 1 })
        thread.kill.join
        check(lives.empty?, "it was killed")
        expect_clean(limit)
      RUBY
    end

    it "another exception that comes late goes through, and the Timeout beside it does not" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        me = Thread.current
        seen = raised do
          when_ending(limit, -> { me.raise(Other); sleep 0.2 }) { limit.run { :result } }
        end
        same(Other, seen.class)
        same(nil, raised { Thread.handle_interrupt(Other => :never) { Thread.pass } })
        expect_clean(limit)
      RUBY
    end

    # One that is on its way out of the block when ours comes is replaced by it: so Ruby has it, as in any `ensure`.
    it "of many exceptions from others most arrive, each once, and none of ours elsewhere" do
      expect_to_pass(<<~RUBY, limit: 60)
        limit = TimeLimit.new(0.0003)
        arrived = 0
        escaped = []
        over = false
        at = { Other => :immediate }
        masked_loop = lambda do
          until over
            begin
              Thread.handle_interrupt(at) do
                limit.run { sleep 0.0002 }
              rescue Timeout
                nil
              end
              Thread.handle_interrupt(at) { Thread.pass }
            rescue Other
              arrived += 1
            rescue Timeout => e
              escaped << e
            end
          end
        end
        thread = Thread.handle_interrupt(Other => :never) { Thread.new(&masked_loop) } # which inherits the mask
        2000.times do |number|
          before = arrived
          thread.raise(Other)
          limit_of_patience = now + 0.02
          sleep 0.0002 until arrived > before || now > limit_of_patience
        end
        over = true
        thread.join
        same([], escaped)
        check(arrived.between?(1000, 2000), "\#{arrived} of 2000 arrived")
        expect_clean(limit)
      RUBY
    end
  end

  describe "one inside the other" do
    it "each raises for its own block" do
      expect_to_pass(<<~RUBY)
        outer, inner = TimeLimit.new(4), TimeLimit.new(0.1)
        seen = []
        last = raised { outer.run { seen << raised { inner.run { sleep } }; sleep } }
        same([["0.1"], "4"], [seen.map { |e| e.message[/[0-9.]+/] }, last.message[/[0-9.]+/]])
        outer, inner = inner, outer
        last = raised { outer.run { raised { inner.run { sleep } }.then { |e| seen << e; raise e } } }
        same("0.1", last.message[/[0-9.]+/])
        [outer, inner].each { |limit| expect_clean(limit) }
      RUBY
    end

    it "what comes late for the outer one while the inner ends arrives in the outer" do
      expect_to_pass(<<~RUBY)
        outer, inner = TimeLimit.new(0.05), TimeLimit.new(0.06)
        seen = []
        last = raised do
          outer.run do
            both = -> { wait_until("both are late") { [outer, inner].all? { |limit| fired?(limit) } } }
            when_ending(inner, both) { seen << raised { inner.run { :result } } }
            seen << :went_on
          rescue Timeout => e
            seen << e
            raise
          end
        end
        arrived = seen.grep(Timeout).uniq
        same([["the work took longer than 0.05 s"]], [arrived.map(&:message)], "arrived")
        check(arrived.first.backtrace.none? { |line| line.include?("take_off") }, arrived.first.backtrace)
        same(nil, raised { Thread.pass })
        check(last.nil? || last.equal?(arrived.first), last)
        [outer, inner].each { |limit| expect_clean(limit) }
      RUBY
    end

    it "remaining is that of the one asked, of several blocks the outermost" do
      expect_to_pass(<<~RUBY)
        outer, inner = TimeLimit.new(10), TimeLimit.new(20)
        same([nil, nil], [outer.remaining, inner.remaining])
        outer.run do
          inner.run { check(outer.remaining <= 10 && inner.remaining.between?(15, 20), "each its own") }
          left = outer.remaining
          outer.run { check(outer.remaining <= left, "the outermost") }
          check(outer.remaining.between?(5, 10), "as before")
        end
        same([nil, nil], [outer.remaining, inner.remaining])
        short = TimeLimit.new(0.05)
        same(0.0, short.run { raised { sleep }; short.remaining })
      RUBY
    end
  end

  it "goes for Fibers of the block, too" do
    expect_to_pass(<<~RUBY)
      limit = TimeLimit.new(0.2)
      check(limit.run { Fiber.new { limit.remaining }.resume }.between?(0, 0.2), "remaining")
      same(Timeout, raised { limit.run { Fiber.new { sleep }.resume } }.class)
      numbers = Enumerator.new { |out| loop { out << 1 } }
      same(Timeout, raised { limit.run { loop { numbers.next } } }.class)
      masked = nil
      limit.run do
        masked = Fiber.new { Thread.handle_interrupt(Other => :never) { Fiber.yield } }
        masked.resume
      end
      same(:next, limit.run { :next })
      expect_clean(limit)
    RUBY
  end

  describe "the watcher" do
    it "starts at first use, is replaced when it was killed, and ends with close" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        same([1, nil], [Thread.list.size, watcher(limit)])
        random = Random.new(1)
        100.times do
          raised { limit.run { random.rand < 0.3 ? sleep(0.001) : sleep(0.08) } } if random.rand < 0.1
          limit.run { nil }
          watcher(limit).kill
          sleep(random.rand * 0.001)
        end
        wait_until("killed") { !watcher(limit).alive? }
        same(Timeout, raised { limit.run { sleep } }.class)
        same("work_shaper time limit", watcher(limit).name)
        limit.close
        wait_until("no thread left") { Thread.list.size == 1 }
        same(:unlimited, limit.run { sleep 0.1; :unlimited })
        same([1, nil], [Thread.list.size, limit.remaining])
      RUBY
    end

    it "leaves nothing armed when it cannot be started" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.05)
        group = ThreadGroup.new
        thread = asleep(Thread.new { Thread.stop; [raised { limit.run { :never } }, raised { sleep 0.3 }].map(&:class) })
        group.add(thread)
        group.freeze
        thread.run
        wait_until("it failed") { thread.stop? }
        same(:other, limit.run { :other })
        same([ThreadError, NilClass], thread.value)
        expect_clean(limit)
      RUBY
    end

    it "holds nobody up while it tells a slow log, and outlives a log that raises" do
      expect_to_pass(<<~RUBY)
        gate = Queue.new
        entered = Queue.new
        WorkShaper.logger = Object.new.tap { |log| log.define_singleton_method(:warn) { |_| entered << 1; gate.pop; raise Other } }
        place = ->(_thread) { entered.empty? ? {} : raise(Other) }
        limit = TimeLimit.new(0.05, place)
        deaf = -> { Thread.handle_interrupt(Object => :never) { entered.pop } }
        first = Thread.new { raised { limit.run { deaf.call } }.class }
        wait_until("the log") { gate.num_waiting == 1 }
        check(Thread.new { limit.run { :meanwhile } }.join(5), "nobody waits")
        before = watcher(limit)
        gate.close
        same(Timeout, first.value)
        same(Timeout, raised { limit.run { sleep } }.class)
        same(Timeout, raised { limit.run { entered << 1; raised { sleep }; sleep 1.2; raise Timeout } }.class)
        same(Timeout, raised { limit.run { sleep } }.class)
        same(before, watcher(limit))
      RUBY
    end

    it "starts anew in a forked child, whatever it did meanwhile" do
      expect_to_pass(<<~RUBY, limit: 60)
        limit = TimeLimit.new(0.002)
        over = false
        others = Array.new(3) { Thread.new { raised { limit.run { sleep 0.002 } } until over } }
        children = Array.new(20) do
          sleep 0.002
          child = nil
          until child # it may hit before the fork
            raised do
              limit.run do
                Thread.handle_interrupt(Timeout => :never) do # or it hits between the fork and the note of it
                  child = fork { exit!(raised { limit.run { sleep 5 } }.is_a?(Timeout)) }
                end
              end
            end
          end
          child
        end
        same([true], children.map { |child| Process.wait2(child).last.success? }.uniq)
        over = true
        others.each(&:join)
        long = TimeLimit.new(2)
        child = nil
        long.run { child = fork { exit!(raised { long.run { sleep 5 } }.is_a?(Timeout) && long.remaining != nil) } }
        check(Process.wait2(child).last.success?, "forked inside a block")
      RUBY
    end

    it "uses no time while nothing is watched" do
      expect_to_pass(<<~RUBY)
        limit = TimeLimit.new(0.01)
        waits = 0
        limit.instance_variable_get(:@changed).define_singleton_method(:wait) { |*arguments| waits += 1; super(*arguments) }
        raised { limit.run { sleep } }
        wait_until("it has ended") { watcher(limit).nil? }
        before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
        sleep 0.5
        used = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before
        check(waits < 10 && used < 0.05, "it woke \#{waits} times, and used \#{used} s")
      RUBY
    end
  end
end
