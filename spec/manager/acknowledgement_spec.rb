# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "acknowledgement" do
  # A manager of the example whose messages each wait for a gate of their own; returns it and the gates by message.
  def gated_manager(messages, **settings)
    gates = messages.to_h { |message| [message, gate] }
    shaper = manager(concurrency: messages.size, work: ->(message, _, _) { gates.fetch(message).pass }, **settings)
    [shaper, gates]
  end

  # Opens the gate of one message and waits until nothing of it is unfinished for the manager either.
  def finish(shaper, gates, message)
    running = shaper.stats[:running]
    gates.fetch(message).open
    settle(shaper, running: running - 1)
  end

  # What is acknowledged when everything that may be is: the rest has to wait.
  def acks_now(shaper, partition = 0)
    bounded { shaper.flush }
    calls.acks(partition)
  end

  describe "acks: :every" do
    it "calls ack with every offset in turn" do
      shaper = manager(acks: :every, concurrency: 4)
      200.times { |n| shaper.enqueue(n % 9, n, 0, n * 3) }
      drained(shaper)
      expect(calls.acks).to eq(Array.new(200) { |n| n * 3 })
    end

    it "is the default" do
      shaper, gates = gated_manager(%i[a b c])
      %i[a b c].each_with_index { |message, offset| shaper.enqueue(message, message, 0, offset) }
      settle(shaper, running: 3)
      %i[c b a].each { |message| finish(shaper, gates, message) }
      drained(shaper)
      expect(calls.acks).to eq([0, 1, 2])
    end
  end

  describe "acks: :latest" do
    it "calls ack once with the highest that is safe" do
      shaper, gates = gated_manager(%i[a b c d], acks: :latest)
      %i[a b c d].each_with_index { |message, offset| shaper.enqueue(message, message, 0, offset) }
      settle(shaper, running: 4)
      finish(shaper, gates, :c)
      finish(shaper, gates, :b)
      expect(acks_now(shaper)).to be_empty
      finish(shaper, gates, :a)
      eventually { shaper.total_acked == 3 }
      finish(shaper, gates, :d)
      drained(shaper)

      expect(calls.acks).to eq([2, 3])
      expect(shaper.total_acked).to eq(4)
    end

    it "calls ack for each partition on its own" do
      shaper = manager(acks: :latest)
      100.times { |n| shaper.enqueue(n, n, n % 3, n) }
      drained(shaper)

      3.times do |partition|
        acks = calls.acks(partition)
        expect(acks).to eq(acks.uniq.sort)
        expect(acks.last).to eq((0...100).select { |n| n % 3 == partition }.max)
      end
      expect(shaper.total_acked).to eq(100)
    end

    it "calls ack at most once a tick for a partition" do
      # The tick is beyond the example's end, so whatever the acknowledger does, it does at most once.
      shaper = manager(acks: :latest, offset_commit_period_ms: 2_147_483_647)
      50.times do |n|
        shaper.enqueue(n, n, 0, n)
        settle(shaper)
      end
      expect(calls.acks.size).to be <= 1
      expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
      expect(calls.acks.last).to eq(49)
      expect(calls.acks.size).to be <= 2
    end
  end

  %i[every latest].each do |acks|
    describe "with acks: #{acks.inspect}" do
      it "never acknowledges past an unfinished offset (I3)" do
        shaper, gates = gated_manager(%i[a b c], acks: acks)
        %i[a b c].each_with_index { |message, offset| shaper.enqueue(message, message, 0, offset) }
        settle(shaper, running: 3)
        finish(shaper, gates, :b)
        finish(shaper, gates, :c)
        expect(acks_now(shaper)).to be_empty
        finish(shaper, gates, :a)
        drained(shaper)
        expect(calls.acks.last).to eq(2)
      end

      it "waits for on_done to return (I3)" do
        held = gate
        shaper = manager(acks: acks, on_done: ->(_, _, _) { held.pass })
        shaper.enqueue(:a, :a, 0, 0)
        eventually { held.waiting == 1 }
        expect(acks_now(shaper)).to be_empty
        expect(shaper.stats[:running]).to eq(1)
        held.open
        drained(shaper)
        expect(calls.all.map(&:kind)).to eq(%i[work worked done ack])
      end

      it "waits for on_error to return (I3)" do
        held = gate
        shaper = manager(acks: acks, work: ->(_, _, _) { raise "failed" }, on_error: ->(_, _, _, _) { held.pass })
        shaper.enqueue(:a, :a, 0, 0)
        eventually { held.waiting == 1 }
        expect(acks_now(shaper)).to be_empty
        held.open
        drained(shaper)
        expect(calls.acks).to eq([0])
      end

      it "does not acknowledge a higher offset that came first before a lower one that came later (I3)" do
        shaper, gates = gated_manager(%i[head high low], acks: acks)
        shaper.enqueue(:head, :head, 0, 1)
        shaper.enqueue(:high, :high, 0, 10)
        shaper.enqueue(:low, :low, 0, 5)
        settle(shaper, running: 3)
        finish(shaper, gates, :high)
        finish(shaper, gates, :head)
        eventually { shaper.total_acked == 1 }
        expect(acks_now(shaper)).to eq([1])
        finish(shaper, gates, :low)
        drained(shaper)
        expect(calls.acks.last).to eq(10)
      end

      it "waits for every copy of an offset that was enqueued twice (I3)" do
        shaper, gates = gated_manager(%i[one two], acks: acks)
        shaper.enqueue(:a, :one, 0, 4)
        shaper.enqueue(:b, :two, 0, 4)
        settle(shaper, running: 2)
        finish(shaper, gates, :one)
        expect(acks_now(shaper)).to be_empty
        finish(shaper, gates, :two)
        drained(shaper)
        expect(calls.acks).to eq([4])
        expect(shaper.total_acked).to eq(2)
      end

      it "waits for a redelivered offset below the frontier before going beyond it (I3)" do
        shaper, gates = gated_manager(%i[first late next], acks: acks)
        shaper.enqueue(:a, :first, 0, 7)
        settle(shaper, running: 1)
        finish(shaper, gates, :first)
        drained(shaper)
        shaper.enqueue(:b, :late, 0, 3)
        shaper.enqueue(:c, :next, 0, 8)
        settle(shaper, running: 2)
        finish(shaper, gates, :next)
        expect(acks_now(shaper)).to eq([7])
        finish(shaper, gates, :late)
        drained(shaper)
        expect(calls.acks).to eq([7, 8])
        expect(shaper.total_acked).to eq(3)
      end

      it "keeps partitions apart (I3)" do
        shaper, gates = gated_manager(%i[p q], acks: acks)
        shaper.enqueue(:a, :p, :p, 0)
        shaper.enqueue(:b, :q, :q, 1)
        settle(shaper, running: 2)
        finish(shaper, gates, :q)
        eventually { calls.acks(:q) == [1] }
        expect(acks_now(shaper, :p)).to be_empty
      end

      it "works on an offset that is acknowledged already, but never calls ack backwards (I4)" do
        shaper = manager(acks: acks)
        [5, 5, 3, 0, 5, 6, 2, 6].each do |offset|
          shaper.enqueue(:key, offset, 0, offset)
          drained(shaper)
        end

        expect(calls.worked).to eq([5, 5, 3, 0, 5, 6, 2, 6])
        expect(calls.acks).to eq([5, 6])
        expect(shaper.stats).to include(total_acked: 8, in_flight: 0)
        expect(shaper.stats[:partitions][0]).to include(last_acked: 6)
      end

      it "holds for shuffled and repeated offsets of three partitions (I3, I4)" do
        random = Random.new(7)
        received = Array.new(400) { |n| [random.rand(3), n, random.rand(150)] }
        shaper = manager(acks: acks, concurrency: 6)
        received.each { |partition, n, offset| shaper.enqueue(n % 11, [n, partition, offset], partition, offset) }
        drained(shaper)

        expect(shaper.total_acked).to eq(400)
        3.times do |partition|
          expect(calls.acks(partition)).to eq(calls.acks(partition).uniq.sort)
          expect(calls.acks(partition).last).to eq(received.select { |p, _, _| p == partition }.map(&:last).max)
        end
      end

      it "neither gaps nor the ends of the range matter (I3)" do
        offsets = [0, 1, 5, 2**32, 2**62, (2**63) - 2, (2**63) - 1]
        shaper, gates = gated_manager(offsets, acks: acks)
        offsets.each { |offset| shaper.enqueue(offset, offset, 0, offset) }
        settle(shaper, running: offsets.size)
        offsets[1..].reverse_each { |offset| finish(shaper, gates, offset) }
        expect(acks_now(shaper)).to be_empty
        finish(shaper, gates, 0)
        drained(shaper)
        expect(calls.acks).to eq(acks == :every ? offsets : [(2**63) - 1])
      end
    end
  end

  it "acknowledges every offset in ascending order, though they came in another" do
    shaper, gates = gated_manager([1, 10, 5, 7], acks: :every)
    [1, 10, 5, 7].each { |offset| shaper.enqueue(offset, offset, 0, offset) }
    settle(shaper, running: 4)
    [10, 5, 7, 1].each { |offset| finish(shaper, gates, offset) }
    drained(shaper)
    expect(calls.acks).to eq([1, 5, 7, 10])
  end

  it "warns once a pass of an offset that was received before" do
    shaper = manager
    shaper.enqueue(:key, :first, "topic", 7)
    drained(shaper)
    shaper.enqueue(:key, :again, "topic", 7)
    drained(shaper)

    warnings = log.entries(/\AReceived Duplicate Offset\z/, "WARN")
    expect(warnings).to contain_exactly(include(offset: "topic:7", last_acked: 7, count: 1))
    expect(log.messages("WARN").size).to eq(1)
  end

  it "warns of thousands of redelivered offsets in a few lines that count them all" do
    shaper = manager(max_in_queue: 3_000, offset_commit_period_ms: 2_147_483_647)
    shaper.enqueue(:key, :first, 0, 10_000)
    settle(shaper)
    bounded { shaper.flush }
    eventually { shaper.total_acked == 1 }
    2_000.times { |n| shaper.enqueue(:key, n, 0, n) }
    settle(shaper)
    bounded { shaper.flush }
    eventually { shaper.total_acked == 2_001 }

    warnings = log.entries(/\AReceived Duplicate Offset\z/, "WARN")
    expect(warnings.sum { |warning| warning[:count] }).to eq(2_000)
    expect(warnings.size).to be <= 3
    expect(calls.acks).to eq([10_000])
  end

  it "does not warn of gaps or of offsets out of order that nothing passed" do
    shaper, gates = gated_manager([1, 10, 5])
    [1, 10, 5].each { |offset| shaper.enqueue(offset, offset, 0, offset) }
    settle(shaper, running: 3)
    [10, 5, 1].each { |offset| finish(shaper, gates, offset) }
    drained(shaper)
    expect(log.messages("WARN")).to be_empty
  end

  it "calls ack again when it was cut off, but not before what came back meanwhile is finished (I3)" do
    held = gate
    late = gate
    shaper = manager(ack: ->(_, offset) { held.pass if offset == 5 },
                     work: ->(message, _, _) { late.pass if message == :late })
    shaper.enqueue(:a, :first, 0, 5)
    eventually { held.waiting == 1 }
    shaper.enqueue(:b, :late, 0, 3)
    settle(shaper, running: 1)
    acknowledger = calls.of(:ack).last.thread
    acknowledger.kill
    expect(acknowledger.join(ManagerHelpers::DEADLINE)).to equal(acknowledger)
    held.open
    expect(bounded { shaper.flush }).to eq(0)
    expect(calls.acks).to eq([5])
    late.open
    drained(shaper)

    expect(calls.acks).to eq([5, 5])
    expect(shaper.stats).to include(total_acked: 2, in_flight: 0, fatal: nil)
    expect(shaper.stats[:partitions][0]).to include(last_acked: 5)
  end

  it "never runs ack on two threads at once for one partition" do
    running = 0
    overlaps = 0
    shaper = manager(ack: lambda do |_, _|
      running += 1
      Thread.pass
      overlaps += 1 if running != 1
      running -= 1
      nil
    end)
    stopped = false
    flushers = Array.new(3) { in_thread { shaper.flush until stopped } }
    500.times { |n| shaper.enqueue(n % 5, n, 0, n) }
    drained(shaper)
    stopped = true
    flushers.each { |flusher| value_of(flusher) }

    expect(overlaps).to eq(0)
    expect(calls.acks).to eq((0...500).to_a)
  end

  describe "that ack refuses" do
    { "false" => -> { false }, "an Exception object" => -> { StandardError.new("lost") },
      "an Exception that is no StandardError" => -> { NotImplementedError.new("lost") } }.each do |what, answer|
      it "with #{what}: warns, keeps last_acked, tries the next in its turn" do
        shaper = manager(ack: ->(_, offset) { offset == 5 ? answer.call : nil })
        shaper.enqueue(:key, 4, 0, 4)
        drained(shaper)
        shaper.enqueue(:key, 5, 0, 5)
        drained(shaper)
        expect(shaper.stats).to include(total_acked: 2, total_refused: 1, in_flight: 0, shutting_down: false,
                                        fatal: nil)
        expect(shaper.stats[:partitions][0]).to include(last_acked: 4)
        expect(log.messages("WARN")).to contain_exactly(include(message: /ack/i))
        expect(log.messages("WARN").first.to_s).to include("0:5")

        shaper.enqueue(:key, 6, 0, 6)
        drained(shaper)
        expect(shaper.stats[:partitions][0]).to include(last_acked: 6)
        expect(calls.acks).to eq([4, 5, 6])
      end
    end

    it "leaves last_acked nil when nothing was taken yet" do
      shaper = manager(acks: :latest, ack: ->(_, _) { false })
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(shaper.stats[:partitions][0]).to include(last_acked: nil)
      expect(shaper.stats).to include(total_acked: 1, in_flight: 0)
    end

    it "is never called backwards after a refusal (I4)" do
      shaper = manager(ack: ->(_, offset) { offset != 5 })
      [5, 3, 5, 6].each do |offset|
        shaper.enqueue(:key, offset, 0, offset)
        drained(shaper)
      end
      expect(calls.acks.first).to eq(5)
      expect(calls.acks.last).to eq(6)
      expect(calls.acks).to eq(calls.acks.uniq.sort)
    end
  end

  [nil, true, 0, "", [], Object.new, StandardError].each do |answer|
    it "counts #{answer.inspect.sub(/0x\h+/, "")} from ack as success" do
      shaper = manager(ack: ->(_, _) { answer })
      shaper.enqueue(:key, :message, 0, 3)
      drained(shaper)
      expect(shaper.stats).to include(total_refused: 0, total_acked: 1)
      expect(shaper.stats[:partitions][0]).to include(last_acked: 3)
      expect(log.messages("WARN")).to be_empty
    end
  end

  it "lets work go on while ack is slow" do
    held = gate
    shaper = manager(ack: ->(partition, _) { held.pass if partition == :slow })
    shaper.enqueue(:a, :m, :slow, 0)
    eventually { held.waiting == 1 }
    10.times { |n| shaper.enqueue(:b, n, :other, n) }
    eventually { calls.worked.size == 11 }
    held.open
    drained(shaper)
    expect(calls.acks(:other)).to eq((0...10).to_a)
  end

  it "counts an offset as acknowledged only when ack has returned" do
    held = gate
    shaper = manager(ack: ->(_, _) { held.pass })
    shaper.enqueue(:a, :m, 0, 0)
    eventually { held.waiting == 1 }
    expect(shaper.total_acked).to eq(0)
    expect(shaper.drain(timeout: 0)).to be(false)
    held.open
    drained(shaper)
    expect(shaper.total_acked).to eq(1)
  end
end
