# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "with attempts" do
  # Work that fails so many times for each message that is named.
  def failing(times)
    left = times.dup
    lambda do |message, *|
      next unless left[message]&.positive?

      left[message] -= 1
      raise IOError, "broken #{message}"
    end
  end

  it "tries again what failed, in its place: its sub key waits, others go on" do
    shaper = manager(work: failing({ a1: 2 }), attempts: 3, wait: 0.2, jitter: 0)
    shaper.enqueue(:a, :a1, 0, 0)
    shaper.enqueue(:a, :a2, 0, 1)
    shaper.enqueue(:b, :b1, 0, 2)
    drained(shaper)
    expect(calls.worked).to eq(%i[b1 a1 a2])
    expect(calls.started.tally).to eq({ a1: 3, a2: 1, b1: 1 })
    expect(calls.acks).to eq([0, 1, 2])
    expect(calls.errors.map(&:message)).to eq(["broken a1"] * 2)
    expect(shaper.stats).to include(total_failed: 2, total_retried: 2, total_skipped: 0, retrying: 0, in_flight: 0)
  end

  it "waits as it was told, and no thread sleeps for it" do
    shaper = manager(work: failing({ a: 1 }), attempts: 2, wait: 2, jitter: 0, concurrency: 1)
    began = ManagerHelpers.now
    shaper.enqueue(:a, :a, 0, 0)
    stats = eventually { shaper.stats.then { |now| now if now[:retrying] == 1 } }
    expect(stats).to include(waiting: 1, running: 0, in_flight: 1)
    shaper.enqueue(:b, :b, 1, 0)
    eventually { calls.acks(1) == [0] }
    drained(shaper)
    expect(ManagerHelpers.now - began).to be_between(2, 10)
  end

  it "skips it when the attempts are used up, which is the default" do
    shaper = manager(work: failing({ a: 9 }), attempts: 3, wait: 0.01, give_up: :skip)
    shaper.enqueue(:a, :a, 0, 0)
    shaper.enqueue(:a, :b, 0, 1)
    drained(shaper)
    expect(calls.started).to eq(%i[a a a b])
    expect(calls.acks).to eq([0, 1])
    expect(shaper.stats[:total_skipped]).to eq(1)
    expect(log.entries(/Skipped/, "ERROR")).to match([include(offset: "0:0", attempts: 3, error: "IOError: broken a")])
  end

  it "stops with GaveUp when it is told to; the message is not finished" do
    shaper = manager(work: failing({ a: 9 }), attempts: 2, wait: 0.01, give_up: :stop)
    shaper.enqueue(:b, :b, 0, 0)
    eventually { calls.worked == [:b] }
    shaper.enqueue(:a, :a, 0, 1)
    eventually { shaper.shutting_down? }
    expect(bounded { shaper.shutdown }).to be(false)
    expect(calls.acks).to eq([0])
    expect(shaper.stats[:fatal]).to match(/GaveUp: .*0 offset 1 after 2 attempts: IOError: broken a/)
  end

  it "calls a callable with the failure, and does what that says" do
    seen = []
    give_up = lambda do |failure|
      seen << [failure.message, failure.error.message, failure.attempts, failure.first_failed_at.class]
      :skip
    end
    shaper = manager(work: failing({ a: 9 }), attempts: 2, wait: 0.01, give_up: give_up)
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(seen).to eq([[:a, "broken a", 2, Time]])
    expect(shaper.stats[:total_skipped]).to eq(1)
  end

  it "calls the callable alone again when that raises, and not the work" do
    tries = 0
    give_up = lambda do |_failure|
      tries += 1
      raise NotImplementedError, "no table" if tries < 3

      :anything
    end
    shaper = manager(work: failing({ a: 9 }), attempts: 2, wait: 0.01, give_up: give_up)
    shaper.enqueue(:a, :a, 0, 0)
    shaper.enqueue(:a, :b, 0, 1)
    drained(shaper)
    expect(calls.started).to eq(%i[a a b])
    expect(tries).to eq(3)
    expect(log.entries(/Could not give up/, "WARN").map { |line| line.values_at(:tries, :error, :first_error) })
      .to eq([1, 2].map { |number| [number, "NotImplementedError: no table", "IOError: broken a"] })
  end

  it "gives up at once with GiveUp, whatever attempts are left" do
    shaper = manager(work: ->(*) { raise WorkShaper::GiveUp, "no use" }, attempts: :unlimited, give_up: :skip)
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(calls.started).to eq([:a])
  end

  it "follows the rules" do
    work = ->(message, *) { raise message }
    shaper = manager(work: work, attempts: 2, wait: 0.01, give_up: :skip,
                     rules: { ArgumentError => :skip, IOError => { attempts: 4, wait: 0.01 } })
    shaper.enqueue(:a, ArgumentError.new("a"), 0, 0)
    shaper.enqueue(:b, IOError.new("b"), 0, 1)
    shaper.enqueue(:c, KeyError.new("c"), 0, 2)
    drained(shaper)
    expect(calls.started.map(&:class).tally).to eq({ ArgumentError => 1, IOError => 4, KeyError => 2 })
  end

  it "tells on_error of each try; what it raises is logged beside the first error" do
    shaper = manager(work: failing({ a: 2 }), attempts: 3, wait: 0.01, on_error: ->(*) { raise "on_error is broken" })
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(calls.errors.size).to eq(2)
    expect(calls.worked).to eq([:a])
    expect(log.entries(/on_error/, "ERROR"))
      .to all(include(error: "RuntimeError: on_error is broken", first_error: "IOError: broken a"))
  end

  it "takes every exception for a failure but those that are meant for the process" do
    deep = -> { deep.call + 1 }
    kinds = [-> { raise NotImplementedError, "not yet" }, -> { raise Exception, "any" }, -> { deep.call }, # rubocop:disable Lint/RaiseException
             -> { throw :nobody }]
    shaper = manager(work: ->(message, *) { kinds[message].call })
    kinds.each_index { |index| shaper.enqueue(index, index, 0, index) }
    drained(shaper)
    expect(calls.errors.map(&:class))
      .to contain_exactly(NotImplementedError, Exception, SystemStackError, UncaughtThrowError)
    expect(calls.acks).to eq([0, 1, 2, 3])
  end

  it "does not try again what on_done made of work that is done" do
    shaper = manager(on_done: ->(*) { raise NotImplementedError, "not yet" }, attempts: 5, wait: 0.01)
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(calls.worked).to eq([:a])
    expect(calls.errors.map(&:class)).to eq([NotImplementedError])
    expect(log.entries(/on_done/, "ERROR").size).to eq(1)
    expect(calls.acks).to eq([0])
  end

  it "drops what waits for its time when its partition is revoked, and no more" do
    gate = self.gate
    work = lambda do |message, partition, _offset|
      gate.pass if message == :open
      raise "broken" if partition == 1
    end
    shaper = manager(work: work, attempts: :unlimited, wait: 30)
    shaper.enqueue(:a, :a1, 1, 0)
    eventually { shaper.stats[:retrying] == 1 }
    shaper.enqueue(:a, :a2, 2, 0)
    shaper.enqueue(:a, :a3, 1, 1)
    expect(shaper.revoke(1).map { |row| row[1] }).to eq(%i[a1 a3])
    drained(shaper)
    expect(calls.worked).to eq([:a2])
    expect(shaper.stats).to include(retrying: 0, total_dropped: 2)
  end

  it "finishes without effect what fails after its partition went" do
    gate = self.gate
    failing = lambda do |*|
      gate.pass
      raise "broken"
    end
    shaper = manager(work: failing, attempts: :unlimited, wait: 30, rules: { ArgumentError => :stop })
    shaper.enqueue(:a, :a, 1, 0)
    settle(shaper, running: 1)
    shaper.revoke(1)
    gate.open
    drained(shaper)
    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.started).to eq([:a])
  end

  it "keeps count when another partition with messages of the sub key goes while it is judged" do
    gate = self.gate
    shaper = manager(work: failing({ a: 2 }), attempts: 2, wait: 0.01, on_error: ->(*) { gate.pass })
    shaper.enqueue(:a, :a, 0, 0)
    eventually { gate.waiting == 1 }
    shaper.enqueue(:a, :b, 1, 0)
    shaper.revoke(1)
    gate.open
    drained(shaper)
    expect(calls.started).to eq(%i[a a])
  end

  it "tries again after shutdown was called, before that returns" do
    shaper = manager(work: failing({ a: 2 }), attempts: 3, wait: 0.1)
    shaper.enqueue(:a, :a, 0, 0)
    shaper.enqueue(:a, :b, 0, 1)
    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.worked).to eq(%i[a b])
    expect(calls.acks).to eq([0, 1])
  end

  it "gives up waiting in shutdown after its timeout" do
    gate = self.gate
    failing = self.failing({ a: 1 })
    work = ->(*arguments) { failing.call(*arguments) || gate.pass }
    shaper = manager(work: work, attempts: 3, wait: 3)
    shaper.enqueue(:a, :a, 0, 0)
    eventually { shaper.stats[:retrying] == 1 }
    expect(bounded { shaper.shutdown(timeout: 0.1) }).to be(false)
    gate.open
    expect(bounded { shaper.shutdown }).to be(true)
    expect(calls.worked).to eq([:a])
  end

  it "keeps ten thousand waiting without a thread for any" do
    shaper = manager(work: ->(message, *) { raise "broken" if message == :bad }, attempts: :unlimited, wait: 10,
                     breaker: false, concurrency: 5, max_in_flight: 20_000, on_error: ->(*) {})
    10_000.times { |number| shaper.enqueue(number, :bad, 1, number) }
    eventually { shaper.stats[:retrying] > 9000 }
    1000.times { |number| shaper.enqueue([:good, number], :good, 2, number) }
    eventually { calls.acks(2).size == 1000 }
    expect(worker_threads.size).to be <= 5
    shaper.revoke(1)
    drained(shaper)
  end

  it "uses no CPU while everything waits for its time" do
    expect_child_to_pass(<<~RUBY)
      m = manager(work: ->(*) { raise "broken" }, on_error: ->(*) {}, attempts: :unlimited, wait: 60, breaker: false)
      50.times { |i| m.enqueue(i, :a, 0, i) }
      wait_until("all wait") { m.stats[:retrying] == 50 }
      before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      sleep 2
      used = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before
      check(used < 0.05, "used \#{used} s")
      m.revoke(0)
      check(m.shutdown(timeout: 5), "shut down")
      passed
    RUBY
  end

  it "goes on when its timekeeper is killed" do
    ill = true
    shaper = manager(work: ->(*) { raise "ill" if ill }, attempts: :unlimited, wait: 0.1)
    shaper.enqueue(:a, :a, 0, 0)
    shaper.enqueue(:b, :b, 0, 1)
    2.times do
      timekeeper = eventually { manager_threads.find { |thread| thread.name == "work_shaper timekeeper" } }
      timekeeper.kill.join
    end
    ill = false
    drained(shaper)
    expect(calls.worked).to contain_exactly(:a, :b)
  end

  it "says what WorkShaper.current is, also inside a Fiber" do
    seen = []
    work = lambda do |message, *|
      current = Fiber.new { WorkShaper.current }.resume
      seen << [current.attempt, current.sub_key, current.partition, current.offset, current.remaining,
               current.stopping?]
      raise "broken" if message == :a && seen.size < 3
    end
    told = []
    shaper = manager(work: work, attempts: 5, wait: 0.01, on_error: ->(*) { told << WorkShaper.current.attempt })
    shaper.enqueue(:a, :a, 7, 0)
    drained(shaper)
    expect(told).to eq([1, 2])
    expect(seen).to eq([1, 2, 3].map { |attempt| [attempt, :a, 7, 0, nil, false] })
    expect(WorkShaper.current).to be_nil
  end
end
