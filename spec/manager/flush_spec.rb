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
      bounded { shaper.flush.tap { @flusher = Thread.current } }
    end
  end

  %i[every latest].each do |acks|
    it "acknowledges what is safe now and returns the number of offsets, with acks: #{acks.inspect}" do
      shaper = manager(acks: acks, offset_commit_period_ms: never)
      flushed = flush_in_batches(shaper)
      eventually { shaper.total_acked == 30 }

      expect(calls.acks.last).to eq(29)
      # The acknowledger may have had its one pass meanwhile.
      expect(flushed.sum).to be_between(20, 30)
      expect(flushed).to all(be_between(0, 10))
    end
  end

  it "runs ack on the caller's thread" do
    shaper = manager(offset_commit_period_ms: never)
    flushed = 3.times.sum do |n|
      shaper.enqueue(:key, :message, 0, n)
      settle(shaper)
      shaper.flush
    end

    expect(flushed).to be >= 2
    expect(calls.of(:ack).count { |call| call.thread == Thread.current }).to eq(flushed)
  end

  it "returns 0 and leaves the rest alone when the head is unfinished" do
    held = gate
    shaper = manager(work: ->(message, _, _) { held.pass if message == 0 })
    5.times { |n| shaper.enqueue(n, n, 0, n) }
    settle(shaper, running: 1)

    expect(shaper.flush).to eq(0)
    expect(calls.acks).to be_empty
    expect(shaper.total_acked).to eq(0)
  end

  it "returns 0 when there is nothing, on a new manager too" do
    shaper = manager
    expect(shaper.flush).to eq(0)
    shaper.enqueue(:key, :message, 0, 0)
    drained(shaper)
    expect(shaper.flush).to eq(0)
  end

  it "takes safe: for the callers of WorkShaper 0.1.3, to no effect" do
    shaper = manager
    [true, false, nil].each { |safe| expect(shaper.flush(safe: safe)).to eq(0) }
  end

  it "flushes every partition" do
    shaper = manager(offset_commit_period_ms: never)
    3.times do |n|
      4.times { |partition| shaper.enqueue(partition, :message, partition, n) }
      settle(shaper)
      shaper.flush
      eventually { shaper.total_acked == (n + 1) * 4 }
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

  it "can be called from work" do
    results = []
    shaper = nil
    shaper = manager(work: ->(_, _, _) { results << shaper.flush })
    20.times { |n| shaper.enqueue(n % 3, :message, 0, n) }
    drained(shaper)
    expect(results).to all(be_an(Integer))
    expect(calls.errors).to be_empty
    expect(calls.acks).to eq((0...20).to_a)
  end

  it "I4, I5: called by many threads at once acknowledges each offset once, and counts it once" do
    shaper = manager(offset_commit_period_ms: never)
    stopped = false
    flushers = Array.new(4) do
      in_thread do
        sum = 0
        sum += shaper.flush until stopped
        sum + shaper.flush
      end
    end
    500.times { |n| shaper.enqueue(n % 5, n, 0, n) }
    eventually { shaper.total_acked == 500 }
    stopped = true
    flushed = flushers.sum { |flusher| value_of(flusher) }

    expect(calls.acks).to eq((0...500).to_a)
    expect(flushed).to eq(calls.of(:ack).count { |call| !call.thread.name.to_s.start_with?("work_shaper") })
  end

  it "logs what ack raises, as the acknowledger does, and stops the manager" do
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
    expect(log.messages("ERROR").join).to include("no broker")
  end

  it "returns 0 after shutdown" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    expect(shaper.shutdown(timeout: 5)).to be(true)
    expect(bounded { shaper.flush }).to eq(0)
  end

  it "I8: ends on Timeout while ack runs on its thread, and harms nobody" do
    held = gate
    main = Thread.current
    shaper = manager(offset_commit_period_ms: never, ack: ->(_, _) { held.pass if Thread.current == main && @hold })
    shaper.enqueue(:key, :message, 0, 0)
    settle(shaper)
    shaper.flush
    eventually { shaper.total_acked == 1 }
    @hold = true
    2.times { |n| shaper.enqueue(:key, :message, 0, n + 1) }
    settle(shaper)
    interrupted = begin
      Timeout.timeout(0.05) { shaper.flush }
      false
    rescue Timeout::Error
      true
    end
    @hold = false

    # Either flush let the interrupt through, or the acknowledger had been faster; nobody hangs in any case.
    expect(calls.acks).to eq(calls.acks.sort)
    expect(interrupted || calls.acks == [0, 1, 2]).to be(true)
    bounded { shaper.shutdown(timeout: 5) }
  end
end
