# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#flush" do
  # Beyond the end of any example: after its first pass the acknowledger does nothing by itself.
  let(:never) { 2_147_483_647 }

  # Finishes three batches of ten and flushes after each; what each flush returned.
  def flush_in_batches(shaper)
    Array.new(3) do |batch|
      10.times { |n| shaper.enqueue(n, n, 0, (batch * 10) + n) }
      settle(shaper)
      bounded { shaper.flush }
    end
  end

  # A manager whose acknowledger rests for ever, one offset acknowledged.
  def resting_manager(**settings)
    shaper = manager(offset_commit_period_ms: never, **settings)
    shaper.enqueue(:key, :first, 0, 0)
    eventually { shaper.total_acked == 1 }
    shaper
  end

  %i[every latest].each do |acks|
    it "acknowledges what is safe now and returns the number of offsets, with acks: #{acks.inspect}" do
      shaper = manager(acks: acks, offset_commit_period_ms: never)
      flushed = flush_in_batches(shaper)

      expect(shaper.total_acked).to eq(30)
      expect(calls.acks.last).to eq(29)
      # The acknowledger may have had its one pass meanwhile.
      expect(flushed.sum).to be_between(20, 30)
      expect(flushed).to all(be_between(0, 10))
    end

    it "counts all that is acknowledged from its call on, with acks: #{acks.inspect}" do
      shaper = resting_manager(acks: acks)
      10.times { |n| shaper.enqueue(n, n, 0, n + 1) }
      settle(shaper)
      expect(bounded { shaper.flush }).to eq(10)
      expect(bounded { shaper.flush }).to eq(0)
    end
  end

  it "has ack called on the acknowledger's thread, always" do
    shaper = resting_manager
    flushed = (1..5).sum do |n|
      shaper.enqueue(:key, :message, 0, n)
      settle(shaper)
      shaper.flush
    end

    expect(flushed).to eq(5)
    expect(calls.of(:ack).map { |call| call.thread.name }.uniq).to eq(["work_shaper acknowledger"])
  end

  it "does not wait for the tick, nor makes anybody else wait for it" do
    shaper = resting_manager
    shaper.enqueue(:key, :message, 0, 1)
    settle(shaper)
    expect(Array.new(5) { in_thread { shaper.flush } }.map { |thread| value_of(thread) }.max).to eq(1)
    expect(calls.acks).to eq([0, 1])
  end

  it "waits for a pass that begins after its call, not only for the one under way" do
    held = gate
    shaper = manager(offset_commit_period_ms: never, ack: ->(partition, _) { held.pass if partition == :slow })
    shaper.enqueue(:key, :message, :slow, 0)
    eventually { held.waiting == 1 }
    shaper.enqueue(:key, :message, :other, 0)
    settle(shaper)
    flushing = blocked_thread { shaper.flush }
    held.open

    expect(value_of(flushing)).to be_between(1, 2)
    expect(shaper.total_acked).to eq(2)
  end

  it "returns 0 and leaves the rest alone when the head is unfinished" do
    held = gate
    shaper = manager(work: ->(message, _, _) { held.pass if message == 0 })
    5.times { |n| shaper.enqueue(n, n, 0, n) }
    settle(shaper, running: 1)

    expect(bounded { shaper.flush }).to eq(0)
    expect(calls.acks).to be_empty
    expect(shaper.total_acked).to eq(0)
  end

  it "returns 0 when there is nothing, on a new manager too" do
    shaper = manager
    expect(bounded { shaper.flush }).to eq(0)
    shaper.enqueue(:key, :message, 0, 0)
    drained(shaper)
    expect(bounded { shaper.flush }).to eq(0)
  end

  it "takes safe: for the callers of WorkShaper 0.1.3, without effect" do
    shaper = manager
    [true, false, nil].each { |safe| expect(shaper.flush(safe: safe)).to eq(0) }
  end

  it "flushes every partition" do
    shaper = manager(offset_commit_period_ms: never)
    3.times do |n|
      4.times { |partition| shaper.enqueue(partition, :message, partition, n) }
      settle(shaper)
      bounded { shaper.flush }
      expect(shaper.total_acked).to eq((n + 1) * 4)
    end
    4.times { |partition| expect(calls.acks(partition)).to eq([0, 1, 2]) }
  end

  it "returns 0 inside ack, and deadlocks nobody" do
    results = []
    shaper = nil
    shaper = manager(ack: ->(_, _) { (results << shaper.flush) && nil })
    20.times do |n|
      shaper.enqueue(:key, :message, 0, n)
      settle(shaper)
      bounded { shaper.flush }
    end
    drained(shaper)
    expect(results).to eq([0] * 20)
    expect(calls.acks).to eq((0...20).to_a)
  end

  it "can be called from work, on_done and on_error" do
    results = []
    shaper = nil
    note = -> { results << shaper.flush }
    shaper = manager(work: ->(n, _, _) { note.call && n.odd? && raise("failed") },
                     on_done: ->(_, _, _) { note.call }, on_error: ->(_, _, _, _) { note.call })
    20.times { |n| shaper.enqueue(n % 3, n, 0, n) }
    drained(shaper)
    expect(results.size).to eq(40)
    expect(results).to all(be_an(Integer))
    expect(calls.acks).to eq((0...20).to_a)
  end

  it "called by many threads at once acknowledges each offset once (I4, I5)" do
    shaper = manager(offset_commit_period_ms: never)
    stopped = false
    flushers = Array.new(4) do
      in_thread do
        sum = 0
        until stopped
          sum += shaper.flush
          sleep 0.001 # with nothing to acknowledge flush returns at once: four such loops leave others no GVL
        end
        sum + shaper.flush
      end
    end
    500.times { |n| shaper.enqueue(n % 5, n, 0, n) }
    eventually { shaper.total_acked == 500 }
    stopped = true
    # What is acknowledged while several wait counts for each of them.
    flushers.each { |flusher| expect(value_of(flusher)).to be <= 500 }
    expect(calls.acks).to eq((0...500).to_a)
  ensure
    stopped = true
  end

  it "logs what ack raises, as always, and stops the manager" do
    shaper = manager(offset_commit_period_ms: never, ack: ->(_, _) { raise "no broker" })
    3.times do |n|
      shaper.enqueue(:key, :message, 0, n)
      settle(shaper)
      expect(bounded { shaper.flush }).to eq(0)
    rescue WorkShaper::ShuttingDown
      break
    end
    eventually { shaper.shutting_down? }

    expect(shaper.stats[:fatal]).to be_a(String)
    expect(shaper.total_acked).to eq(0)
    eventually("nothing in the log") { log.messages("ERROR").join.include?("no broker") }
  end

  it "returns instead of waiting for what can never be acknowledged any more" do
    held = gate
    shaper = manager(ack: ->(_, _) { held.pass || raise("no broker") })
    shaper.enqueue(:key, :message, 0, 0)
    eventually { held.waiting == 1 }
    flushing = blocked_thread { shaper.flush }
    held.open
    expect(value_of(flushing)).to eq(0)
    expect(bounded { shaper.flush }).to eq(0)
  end

  it "returns 0 after shutdown, and ends beside one" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    flushing = in_thread { 1_000.times { shaper.flush } }
    expect(shaper.shutdown(timeout: 5)).to be(true)
    value_of(flushing)
    expect(bounded { shaper.flush }).to eq(0)
  end

  # I/O in ack for as long as work goes on: the passes follow each other without a pause.
  %i[every latest].each do |acks|
    it "returns soon beside a busy acknowledger, with acks: #{acks.inspect} (I5)" do
      shaper = manager(acks: acks, max_in_flight: 50, concurrency: 10, work: ->(*) { sleep 0.001 },
                       ack: ->(*) { sleep 0.002 })
      stopped = false
      producer = in_thread do
        offset = -1
        shaper.enqueue(offset % 40, nil, offset % 4, offset) until stopped || (offset += 1).negative?
      end
      eventually { shaper.total_acked > 50 }
      3.times do
        before = shaper.total_acked
        flushed = bounded { shaper.flush }
        expect(flushed).to be <= shaper.total_acked - before
      end
      stopped = true
      value_of(producer)
      drained(shaper)
    end
  end
end
