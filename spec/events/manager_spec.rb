# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "whose events somebody listens to" do
  before { events }

  it "tells of each attempt: what it took, how long the message waited, which one it was" do
    gate = self.gate
    shaper = manager(work: ->(message, *) { gate.pass if message == :first })
    shaper.enqueue(:key, :first, 3, 7)
    shaper.enqueue(:key, :second, 3, 8)
    eventually { gate.waiting == 1 }
    let_pass(0.05)
    gate.open
    first = { message: :first, partition: 3, offset: 7, attempt: 1, outcome: :done,
              duration: a_value_between(0.05, 60), queue_time: a_value_between(0, 60) }
    second = { **first, message: :second, offset: 8, duration: a_value_between(0, 60),
                        queue_time: a_value_between(0.03, 60) }
    expect(events_of(:attempt, 2)).to match([first, second])
  end

  it "tells of a failure, of the next attempt, and of its success, in that order" do
    error = IOError.new("disk")
    failures = [error]
    shaper = manager(work: ->(*) { (failed = failures.shift) && raise(failed) }, attempts: 3, wait: 0.001, jitter: 0)
    shaper.enqueue(:key, :message, 0, 5)
    events_of(:attempt, 2)
    about = { message: :message, partition: 0, offset: 5 }
    expect(events.names).to eq(%i[attempt failure retry attempt])
    expect(events.of(:attempt)).to match([include(**about, outcome: :failed, attempt: 1),
                                          include(**about, outcome: :done, attempt: 2)])
    expect(events.of(:failure)).to eq([{ **about, error: error, attempt: 1 }])
    expect(events.of(:retry)).to eq([{ **about, attempt: 1, wait: 0.001 }])
  end

  it "tells once that a message is given up, and what that means" do
    shaper = manager(work: ->(*) { raise IOError, "disk" }, attempts: 2, wait: 0.001, give_up: ->(_) { :skip })
    shaper.enqueue(:key, :message, 0, 5)
    expect(events_of(:give_up)).to match([include(message: :message, offset: 5, attempt: 2, action: :skip,
                                                  error: an_instance_of(IOError))])
    drained(shaper)
    expect(events.of(:failure).map { |payload| payload[:attempt] }).to eq([1, 2])
  end

  it "tells of an on_done that raised: the attempt is done" do
    error = IOError.new("disk")
    shaper = manager(on_done: ->(*) { raise error })
    shaper.enqueue(:key, :message, 0, 5)
    expect(events_of(:failure)).to eq([{ message: :message, partition: 0, offset: 5, error: error, attempt: nil }])
    expect(events.of(:attempt)).to match([include(outcome: :done)])
  end

  it "tells when the breaker opens and closes" do
    broken = true
    shaper = manager(work: ->(*) { raise IOError, "down" if broken }, attempts: :unlimited, wait: 0.001, jitter: 0,
                     breaker: { share: 0.5, of: 10, wait: 0.001 })
    20.times { |offset| shaper.enqueue(offset, :message, 0, offset) }
    expect(events_of(:breaker).first).to include(state: :open, error: an_instance_of(IOError), tries: 10)
    broken = false
    expect(events_of(:breaker, 2).last).to include(state: :closed, open_for: a_value > 0)
  end

  it "tells of an attempt that takes long" do
    gate = self.gate
    shaper = manager(work: ->(*) { gate.pass }, stuck_after: 0.05)
    shaper.enqueue(:key, :message, 0, 5)
    told = eventually { events.of(:stuck).find { |payload| payload[:backtrace].grep(/pass/).any? } }
    expect(told).to include(message: :message, partition: 0, offset: 5, attempt: 1, age: a_value >= 0.05)
    gate.open
  end

  it "tells that it stops, and once that it has" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 5)
    events_of(:attempt) # told after the message counts as finished
    shaper.drain # it tells of its stop at once
    2.times { shaper.shutdown(timeout: 10) }
    events_of(:stopped)
    expect(events.names.last(2)).to eq(%i[stopping stopped])
    expect(events.of(:stopped)).to eq([{ done: true }])
  end

  describe "but only later" do
    before { WorkShaper.instrumenter = nil }

    # Enqueues one message after the other until the block is true.
    def keep_enqueuing(shaper)
      eventually do
        shaper.enqueue(:key, :message, 0, shaper.total_enqueued)
        expect(shaper.await(0, timeout: ManagerHelpers::DEADLINE)).to be(true)
        yield
      end
    end

    it "is heard of while it has nothing to do, and so is that nobody listens any more" do
      shaper = drained(manager.tap { |shaper| shaper.enqueue(:key, :before, 0, 0) })
      WorkShaper.instrumenter = events
      keep_enqueuing(shaper) { events.of(:attempt).any? }
      WorkShaper.instrumenter = nil
      keep_enqueuing(shaper) do
        heard = events.of(:attempt).size
        keep_enqueuing(shaper) { true }
        events.of(:attempt).size == heard
      end
      expect(events.of(:attempt)).to all(include(message: :message))
    end

    it "is heard of while something is always in flight" do
      gate = self.gate
      shaper = manager(work: ->(message, *) { gate.pass if message == :slow })
      shaper.enqueue(:other, :slow, 1, 0)
      eventually { gate.waiting == 1 }
      WorkShaper.instrumenter = events
      expect { keep_enqueuing(shaper) { events.of(:attempt).any? } }.not_to change { shaper.stats[:running] }.from(1)
      gate.open
    end
  end

  it "neither stops nor waits for a subscriber that raises, hangs, or is killed" do
    gate = self.gate
    hanging = Class.new do
      define_method(:instrument) do |name, payload|
        raise NotImplementedError, "not this one" if payload[:message] == :raise

        Thread.current.kill if payload[:message] == :kill

        gate.pass if name == "attempt.work_shaper" && payload[:message] == :hang
      end
    end
    WorkShaper.instrumenter = hanging.new
    shaper = manager
    %i[raise kill].each_with_index { |message, offset| shaper.enqueue(:key, message, 0, offset) }
    eventually("the next event does not replace the thread") do
      shaper.enqueue(:key, :hang, 0, shaper.total_enqueued)
      gate.waiting == 1
    end
    drained(shaper)
    expect(log.entries(/Error in a subscriber/, "WARN"))
      .to match([include(event: "attempt.work_shaper", error: "NotImplementedError: not this one")])
    expect(bounded { shaper.shutdown }).to be(true)
    gate.open
  end

  it "counts and tells what was dropped because a subscriber hangs" do
    gate = self.gate
    WorkShaper.instrumenter = Class.new { define_method(:instrument) { |*| gate.pass } }.new
    queue = WorkShaper.const_get(:Events).const_get(:EventQueue)
    before = manager.stats[:events_dropped]
    shaper = manager(acks: :latest)
    count = queue::MOST + 100
    count.times { |offset| shaper.enqueue(:key, :message, 0, offset) }
    drained(shaper)
    expect(shaper.stats[:events_dropped] - before).to be_between(1, 100)
    gate.open
    eventually { log.entries(/Events were dropped/, "WARN").any? }
  end

  it "withstands the garbage collector at every allocation, and compaction" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      heard = []
      WorkShaper.instrumenter = Class.new { define_method(:instrument) { |name, payload| heard << payload } }.new
      work = ->(message, *) { raise IOError, message if message.end_with?("3") && rand < 0.5 }
      shaper = WorkShaper::Manager.new(work: work, ack: ->(*) {}, attempts: 20, wait: 0.0001, heartbeat_period_sec: 0,
                                       concurrency: 3)
      GC.stress = true
      20.times { |n| shaper.enqueue("key \#{n % 7}", "message \#{n}", "partition \#{n % 2}", n) }
      same(true, shaper.drain(timeout: 50), "drain")
      GC.stress = false
      GC.compact if GC.respond_to?(:compact)
      same(true, shaper.shutdown(timeout: 10), "shutdown")
      done = heard.select { |payload| payload[:outcome] == :done }.sort_by { |payload| payload[:offset] }
      same(Array.new(20) { |n| ["message \#{n}", "partition \#{n % 2}", n] },
           done.map { |payload| payload.values_at(:message, :partition, :offset) }, "events")
      passed
    RUBY
  end

  it "tells a forked child's events to the child's own subscribers" do
    expect_child_to_pass(<<~RUBY, limit: 30)
      heard = Queue.new
      WorkShaper.instrumenter = Class.new { define_method(:instrument) { |name, payload| heard << [name, payload[:message]] } }.new
      make = -> { WorkShaper::Manager.new(work: ->(*) {}, ack: ->(*) {}, heartbeat_period_sec: 0) }
      parent = make.call
      parent.enqueue(1, :of_the_parent, 0, 0)
      same(["attempt.work_shaper", :of_the_parent], heard.pop, "in the parent")
      child = fork do
        shaper = make.call
        shaper.enqueue(1, :of_the_child, 0, 0)
        exit!(heard.pop == ["attempt.work_shaper", :of_the_child] && shaper.shutdown(timeout: 10) ? 0 : 1)
      end
      same(0, Process.wait2(child).last.exitstatus, "the child")
      parent.shutdown
      passed
    RUBY
  end

  it "takes anything that answers instrument, and says so" do
    expect { WorkShaper.instrumenter = 5 }.to raise_error(TypeError, /instrumenter is 5; it must answer instrument/)
    WorkShaper.instrumenter = nil
    expect(WorkShaper.instrumenter).to be_nil
  end
end
