# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "with a timeout" do
  it "raises Timeout inside the work, which is a failure like any other" do
    ended = []
    work = lambda do |message, *|
      sleep(30) if message == :slow
    rescue WorkShaper::Timeout => e
      ended << [e.message, e.backtrace.first[/sleep/]]
      raise
    end
    shaper = manager(work: work, timeout: 0.1, attempts: 2, wait: 0.01, give_up: :skip)
    shaper.enqueue(:a, :slow, 0, 0)
    shaper.enqueue(:a, :quick, 0, 1)
    drained(shaper)
    expect(ended).to eq([["the work took longer than 0.1 s", "sleep"]] * 2)
    expect(calls.errors.map(&:class)).to eq([WorkShaper::Timeout] * 2)
    expect(calls.acks).to eq([0, 1])
  end

  it "never hits on_error, on_done, a give_up or the next message, however close it comes" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      elsewhere = Queue.new
      outside = ->(*) { begin; 3.times { Thread.pass }; sleep 0.0002; rescue WorkShaper::Timeout => e; elsewhere << e; end }
      hit = Queue.new
      work = lambda do |message, *|
        sleep 0.0018
        sleep 0.0004
      rescue WorkShaper::Timeout => e
        hit << e
        raise
      end
      m = manager(work: work, on_done: outside, on_error: outside, timeout: 0.002, attempts: 2, wait: 0.0005,
                  give_up: ->(failure) { outside.call; :skip }, breaker: false, concurrency: 8)
      4000.times { |i| m.enqueue(i % 50, i, 0, i) }
      check(m.drain(timeout: 40), "drained: \#{m.stats}")
      same(0, elsewhere.size, "raised elsewhere")
      check(hit.size > 100, "hit only \#{hit.size} times")
      same((0...4000).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "leaves work alone that rescues it and ends well" do
    work = lambda do |*|
      sleep 30
    rescue StandardError
      nil
    end
    shaper = manager(work: work, timeout: 0.05)
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(calls.errors).to be_empty
  end

  it "waits for work that does not let it in, tells the log, and does not hit what comes after" do
    masked = lambda do |message, *|
      next unless message == :deaf

      Thread.handle_interrupt(Object => :never) { eventually { log.entries(/after its timeout/, "WARN").any? } }
    end
    shaper = manager(work: masked, timeout: 0.1, concurrency: 1)
    shaper.enqueue(:a, :deaf, 0, 0)
    shaper.enqueue(:a, :next, 0, 1)
    drained(shaper)
    expect(calls.of(:error).map(&:message)).to eq(calls.of(:error).any? ? [:deaf] : [])
    expect(calls.worked).to include(:next)
    expect(log.entries(/after its timeout/, "WARN")).to match([include(partition: 0, offset: 0, timeout_sec: 0.1)])
  end

  it "says how much is left, also inside a Fiber" do
    left = []
    shaper = manager(timeout: 5, work: lambda do |*|
      left << WorkShaper.current.remaining << Fiber.new { WorkShaper.current.remaining }.resume
    end)
    shaper.enqueue(:a, :a, 0, 0)
    drained(shaper)
    expect(left).to all(be_between(1, 5))
  end

  # It ends when nothing was watched for a while; the next work has another.
  def watcher_of(shaper)
    found = manager_threads.find { |thread| thread.name == "work_shaper time limit" }
    drained(shaper.tap { |one| one.enqueue(:b, :quick, 1, @quick = @quick.to_i + 1) }) unless found
    found
  end

  it "lets a kill through, and needs no watcher that lives" do
    work = lambda do |message, *|
      Thread.handle_interrupt(WorkShaper::Timeout => message == :deaf ? :never : :immediate) do
        sleep(message == :quick ? 0 : 30)
      end
    end
    shaper = manager(work: work, timeout: 0.3, concurrency: 2)
    shaper.enqueue(:b, :quick, 0, 0)
    drained(shaper)
    2.times do |number|
      eventually { watcher_of(shaper) }.kill.join
      shaper.enqueue(:a, :slow, 0, number + 1)
      drained(shaper)
      expect(calls.errors.last).to be_a(WorkShaper::Timeout)
    end
    shaper.enqueue(:a, :deaf, 0, 3)
    eventually { calls.started.include?(:deaf) }
    without_thread_reports { calls.of(:work).last.thread.kill.join }
    expect(bounded { shaper.shutdown(timeout: 5) }).to be(false)
  end

  it "goes for the block alone in Batches" do
    batches = WorkShaper::Batches.new(timeout: 0.05, heartbeat_period_sec: 0) do |seconds|
      sleep(seconds) if seconds.positive? # else it gives up the GVL, and may not have it back in time
    end
    expect { batches.process([0, 30, 0], sub_key: nil) }.to raise_error(WorkShaper::Timeout)
    expect(batches.process([0, 0], sub_key: nil)).to be_nil
  ensure
    batches.shutdown
  end

  it "of two managers may be one inside the other" do
    gate = self.gate
    inner = manager(work: ->(*) { gate.pass }, timeout: 10)
    outer = bare_manager(ack: ->(*) {}, timeout: 1, on_error: ->(error, *) { (@errors ||= []) << error.class },
                         work: lambda do |*|
                           inner.enqueue(:a, :a, 0, 0)
                           inner.drain
                         end)
    outer.enqueue(:a, :a, 0, 0)
    drained(outer)
    expect(@errors).to eq([WorkShaper::Timeout])
    gate.open
    drained(inner)
    expect(calls.worked).to eq([:a])
  end
end
