# frozen_string_literal: true

require "spec_helper"

# Machines are busy: nothing here is faster than it may be, and what is slow is so by far. The arithmetic is checked in
# spec/core/test_gcra.c.
RSpec.describe WorkShaper::Rate do
  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def seconds
    start = now
    yield
    now - start
  end

  def asleep_in(&block)
    thread = Thread.new(&block)
    thread.report_on_exception = false
    Thread.pass until thread.status == "sleep" || !thread.alive?
    thread
  end

  # Threads that acquire one each, in a line in this order. The names of those who went are added to the Queue.
  def line_of(rate, *names, gone: Queue.new)
    threads = names.to_h do |name|
      [name, asleep_in do
        rate.acquire
        gone << name
      end]
    end
    [threads, gone]
  end

  # One that owes a long time.
  def owing(limit: 1, per: 1000, count: 1)
    described_class.new(limit, per: per).tap { |rate| expect(rate.acquire(count)).to be(true) }
  end

  describe "what it takes" do
    it "is a limit, per a number of seconds, and a burst" do
      rate = described_class.new(100, per: 60, burst: 5)
      expect([rate.limit, rate.per, rate.burst]).to eq([100, 60, 5])
      rate = described_class.new(0.5)
      expect([rate.limit, rate.per, rate.burst]).to eq([0.5, 1, 1])
      expect(described_class.new(1/2r, per: 1/4r).limit).to eq(1/2r)
    end

    it "has a burst of 10 ms unless it is given, also when the limit changes" do
      expect([1, 99, 100, 199, 200, 2900, 1_000_000_000].map { |limit| described_class.new(limit).burst })
        .to eq([1, 1, 1, 1, 2, 29, 10_000_000])
      rate = described_class.new(100)
      rate.limit = 1000
      expect(rate.burst).to eq(10)
      rate.burst = 3
      rate.limit = 10_000
      expect(rate.burst).to eq(3)
      rate.burst = nil
      expect(rate.burst).to eq(100)
    end

    { nil => TypeError, "1" => TypeError, Complex(1, 1) => TypeError, [] => TypeError,
      0 => ArgumentError, -1 => ArgumentError, Float::NAN => ArgumentError, Float::INFINITY => ArgumentError,
      1e-7 => ArgumentError, 2e9 => ArgumentError }.each do |value, error|
      it "refuses a limit of #{value.inspect}" do
        expect { described_class.new(value) }
          .to raise_error(error, /limit.* must be .*not #{Regexp.escape(value.inspect)}/)
        rate = described_class.new(7)
        expect { rate.limit = value }.to raise_error(error)
        expect(rate.limit).to eq(7)
      end
    end

    { "1" => TypeError, nil => TypeError, 0 => ArgumentError, -1.0 => ArgumentError, Float::INFINITY => ArgumentError,
      1e10 => ArgumentError, 1e-10 => ArgumentError }.each do |value, error|
      it "refuses #{value.inspect} as per" do
        expect { described_class.new(1, per: value) }.to raise_error(error, /per must be .*not/)
      end
    end

    { 1.0 => TypeError, "1" => TypeError, false => TypeError, 0 => ArgumentError, -1 => ArgumentError,
      2**31 => ArgumentError, 2**64 => ArgumentError }.each do |value, error|
      it "refuses a burst of #{value.inspect}, and as many at once" do
        expect { described_class.new(1, burst: value) }.to raise_error(error, /burst must be an Integer/)
        rate = described_class.new(1, burst: 7)
        expect { rate.burst = value }.to raise_error(error)
        expect { rate.acquire(value) }.to raise_error(error, /count must be an Integer/)
        expect(rate.burst).to eq(7)
        expect(rate.acquire(7, timeout: 0)).to be(true)
      end
    end

    it "refuses a burst that takes for ever to come back" do
      expect { described_class.new(1e-6, burst: 1001) }.to raise_error(ArgumentError, /within 1e\+09 seconds, not 1001/)
    end

    it "refuses a wrong timeout and unknown keywords" do
      rate = described_class.new(1)
      expect { rate.acquire(timeout: "1") }.to raise_error(TypeError, /timeout/)
      expect { rate.acquire(timeout: -1) }.to raise_error(ArgumentError, /timeout/)
      expect { rate.acquire(time: 1) }.to raise_error(ArgumentError, /time/)
      expect { rate.acquire(1, 2) }.to raise_error(ArgumentError)
      expect { described_class.new(1, bursts: 1) }.to raise_error(ArgumentError, /bursts/)
      expect { described_class.new }.to raise_error(ArgumentError)
      expect(rate.acquire(timeout: 0)).to be(true)
    end

    it "cannot be copied, changed while it is frozen, or used before it is initialized" do
      rate = described_class.new(1)
      expect { rate.dup }.to raise_error(NoMethodError)
      expect { rate.freeze.limit = 2 }.to raise_error(FrozenError)
      expect { described_class.allocate.acquire }.to raise_error(TypeError, /uninitialized/)
      expect { described_class.allocate.limit = 1 }.to raise_error(TypeError, /uninitialized/)
    end
  end

  describe "acquire" do
    it "lets a burst go at once, and then one in each interval" do
      rate = described_class.new(50, burst: 5)
      expect(seconds { 15.times { expect(rate.acquire).to be(true) } }).to be_between(0.199, 10)
    end

    it "lets more than a burst go when nothing is owed, and has them paid for" do
      rate = described_class.new(100, burst: 2)
      took = seconds do
        expect(rate.acquire(20, timeout: 0)).to be(true)
        rate.acquire(20)
      end
      expect(took).to be_between(0.199, 10)
    end

    it "says no at once when the timeout is too short, and takes nothing" do
      rate = owing
      expect(seconds { 100.times { expect(rate.acquire(timeout: 900)).to be(false) } }).to be < 10
      expect(rate.acquire(timeout: 0)).to be(false)
      rate.limit = 1_000_000
      expect(rate.acquire(timeout: 10)).to be(true)
    end

    it "says no at the timeout when others were faster" do
      rate = described_class.new(1, per: 10)
      rate.acquire
      slow = asleep_in { rate.acquire(timeout: 12) }
      rate.limit = 0.1
      expect(slow.value).to be(false)
    end

    it "lets callers go in the order in which they came" do
      rate = owing
      _, gone = line_of(rate, *1..20)
      order = Array.new(20) do |number|
        rate.burst = number + 2 # one more
        gone.pop
      end
      expect(order).to eq([*1..20])
      expect(rate.acquire(timeout: 0)).to be(false)
    end

    it "keeps to the limit with many threads" do
      rate = described_class.new(500, burst: 1)
      took = seconds { Array.new(20) { Thread.new { 10.times { rate.acquire } } }.each(&:join) }
      expect(took).to be_between(0.397, 20)
    end

    # Those who come just before their time did not see it pass, and slept for a second.
    it "misses no time that comes while it enters the line" do
      rate = described_class.new(10_000)
      expect(seconds { 5000.times { rate.acquire } }).to be_between(0.489, 6)
    end

    it "wakes those who wait when the limit or the burst is raised" do
      rate = owing
      waiting = asleep_in { rate.acquire }
      rate.limit = 100_000
      expect(waiting.value).to be(true)
      rate = owing
      waiting = asleep_in { rate.acquire }
      rate.burst = 2
      expect(waiting.value).to be(true)
    end

    it "lets those behind move up when one leaves, however it leaves" do
      leave = { kill: :kill.to_proc, raise: ->(thread) { thread.raise(IOError) } }
      leave.each_value do |leaving|
        rate = described_class.new(1, per: 1000, burst: 2)
        rate.acquire # one more could go, but not as many as come next
        long = asleep_in { rate.acquire(1_000_000) }
        _, gone = line_of(rate, :behind)
        expect(gone).to be_empty
        leaving.call(long)
        expect(gone.pop).to be(:behind)
        expect { long.value }.to raise_error(IOError) if leaving != leave[:kill]
      end
    end

    it "does not count those who left for how long it would take" do
      rate = described_class.new(1, per: 10)
      rate.acquire
      first = asleep_in { rate.acquire }
      long = asleep_in { rate.acquire(1_000_000) }
      last = asleep_in { rate.acquire }
      expect(rate.acquire(timeout: 50)).to be(false)
      long.kill.join
      new = asleep_in { rate.acquire(timeout: 50) }
      rate.limit = 1_000
      expect([first, last, new].map(&:value)).to eq([true, true, true])
    end

    it "ends with a Timeout of Ruby's, and has taken nothing" do
      rate = owing
      expect { Timeout.timeout(0.05) { rate.acquire(1_000_000) } }.to raise_error(Timeout::Error)
      rate.limit = 1_000_000
      expect(rate.acquire(timeout: 10)).to be(true)
    end

    # Whoever is awake lets go those whose time has come: here the main thread, before the killed one wakes up.
    it "gives back what was taken for one who is killed before it knows" do
      20.times do
        rate = owing
        killed = asleep_in { rate.acquire }
        killed.kill
        rate.burst = 2
        before = rate.acquire(timeout: 0)
        killed.join
        expect([before, rate.acquire(timeout: 0)]).to contain_exactly(true, false)
      end
    end

    it "leaves nothing behind when threads come and go" do
      rate = owing
      Array.new(100) { asleep_in { rate.acquire(100) }.kill }.each(&:join)
      GC.start
      rate.limit = 1_000_000
      expect(rate.acquire(timeout: 10)).to be(true)
    end
  end

  it "lives as long as somebody waits for it" do
    expect_child_to_pass(<<~RUBY)
      GC.stress = true
      threads = Array.new(3) do
        Thread.new do
          rate = WorkShaper::Rate.new(20)
          3.times { rate.acquire }
          rate.limit = 40
          rate.acquire(timeout: 10)
        end
      end
      same([true] * 3, threads.map(&:value), "values")
      passed
    RUBY
  end

  it "goes on in a forked child, where nobody is in line any more", if: Process.respond_to?(:fork) do
    expect_child_to_pass(<<~RUBY)
      rate = WorkShaper::Rate.new(1, per: 1000, burst: 2)
      rate.acquire # one more could go, but not as many as come next
      10.times { asleep_in { rate.acquire(1000) } }
      pid = fork do
        GC.start
        same(true, rate.acquire(timeout: 5), "acquire")
        rate.limit = 10_000
        same(true, rate.acquire(3), "acquire, in the line")
        GC.start
        exit!(0)
      end
      same(true, child_status(pid).success?, "child")
      passed
    RUBY
  end

  it "serves a trap handler inside its own wait, and a fork in there", if: Process.respond_to?(:fork) do
    expect_child_to_pass(<<~RUBY)
      rate = WorkShaper::Rate.new(1, per: 1000)
      rate.acquire
      child = nil
      trap(:USR1) do
        rate.limit = 10_000
        Thread.new { rate.acquire }.join
        child = fork
      end
      main = Thread.current
      Thread.new do
        wait_for_sleep(main)
        Process.kill(:USR1, Process.pid)
      end
      same(true, rate.acquire(3), "acquire")
      exit!(0) unless child
      same(true, child_status(child).success?, "child")
      passed
    RUBY
  end
end
