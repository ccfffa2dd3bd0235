# frozen_string_literal: true

require "spec_helper"

# A key that lets other threads run whenever a Hash asks it anything.
YieldingKey = Struct.new(:name) do
  def hash
    Thread.pass
    name.hash
  end

  def eql?(other)
    Thread.pass
    other.is_a?(YieldingKey) && name == other.name
  end
end

# Every one of these has the same hash.
CollidingKey = Struct.new(:name) do
  def hash
    1
  end
end

# Runs a block the first time its hash is asked for.
class MeddlingKey
  def initialize(&meddle)
    @meddle = meddle
  end

  def hash
    meddle = @meddle
    @meddle = nil
    meddle&.call
    super
  end
end

RSpec.describe WorkShaper::Manager, "sub keys and partitions" do
  # Two of one sub key: the first is held, so the second runs beside it only if it counts as another sub key.
  def same_sub_key?(first, second)
    held = gate
    shaper = manager(work: ->(message, _, _) { held.pass if message == :first })
    shaper.enqueue(first, :first, 0, 0)
    settle(shaper, running: 1)
    shaper.enqueue(second, :second, 0, 1)
    sub_keys = shaper.stats[:sub_keys]
    eventually { calls.worked == [:second] } if sub_keys == 2
    held.open
    drained(shaper)
    [[1, %i[first second]], [2, %i[second first]]].index([sub_keys, calls.worked])&.zero?
  end

  kinds = {
    "nil" => -> {}, "false" => -> { false }, "a Symbol" => -> { :key }, "an Integer" => -> { 7 },
    "a big Integer" => -> { 2**100 }, "a Float" => -> { 1.5 }, "a String" => -> { +"key" },
    "an empty String" => -> { +"" }, "a String with a NUL" => -> { "a\0b".dup }, "a binary String" => -> { "\xFF".b },
    "a broken UTF-8 String" => -> { "\xFF".dup }, "an Array" => -> { [1, "b", nil] }, "a Hash" => -> { { a: [1] } },
    "a Struct" => -> { CollidingKey.new("x") }, "a key that switches threads" => -> { YieldingKey.new("x") },
    "a Class" => -> { String }, "a Rational" => -> { 1r / 3 }
  }

  kinds.each do |name, make|
    it "takes #{name} as sub key, and an equal one as the same (I1)" do
      expect(same_sub_key?(make.call, make.call)).to be(true)
    end

    it "takes #{name} as partition, and an equal one as the same" do
      held = gate
      shaper = manager(work: ->(message, _, _) { held.pass if message == :first })
      shaper.enqueue(:a, :first, make.call, 0)
      shaper.enqueue(:b, :second, make.call, 1)
      settle(shaper, running: 1)

      expect(bounded { shaper.flush }).to eq(0)
      expect(shaper.stats[:partitions].keys).to eq([make.call])
      held.open
      drained(shaper)
      expect(calls.acks(make.call)).to eq([0, 1])
      expect(shaper.revoke(make.call)).to eq([])
      expect(shaper.stats[:partitions]).to be_empty
    end
  end

  it "takes NaN, which equals nothing but itself as an object" do
    shaper = manager
    5.times { |offset| shaper.enqueue(Float::NAN, offset, Float::NAN, offset) }
    drained(shaper)

    expect(calls.started).to eq([0, 1, 2, 3, 4])
    expect(shaper.stats).to include(sub_keys: 0, in_flight: 0)
  end

  [[1, 1.0], [nil, false], [:a, "a"], ["a", "A"], ["a", "a\0"], ["", nil], [[1], [1.0]],
   [CollidingKey.new("x"), CollidingKey.new("y")], %w[é è]].each do |first, second|
    it "runs #{first.inspect} and #{second.inspect} side by side" do
      expect(same_sub_key?(first, second)).to be(false)
    end
  end

  utf8 = "caf\u00e9"
  { "binary" => utf8.b, "Latin-1" => utf8.dup.force_encoding("ISO-8859-1"),
    "UTF-16LE" => "ab".dup.force_encoding("UTF-16LE"), "a subclass" => Class.new(String).new(utf8) }
    .each do |name, key|
      it "compares String sub keys by their bytes: UTF-8 against #{name} (I1)" do
        encoding = key.encoding
        expect(same_sub_key?(key.dup.force_encoding("UTF-8"), key)).to be(true)
        expect(key.encoding).to eq(encoding)
      end
    end

  it "tells String sub keys of different bytes apart though they read the same" do
    expect(same_sub_key?("é", "é".encode("ISO-8859-1"))).to be(false)
  end

  it "neither freezes nor keeps the caller's String, so that changing it later does not matter" do
    held = gate
    shaper = manager(work: ->(message, _, _) { held.pass if message == 0 })
    key = +"a"
    partition = +"p"
    shaper.enqueue(key, 0, partition, 0)
    expect([key, partition].map(&:frozen?)).to eq([false, false])
    settle(shaper, running: 1)
    key << "b"
    partition << "q"
    shaper.enqueue("a", 1, "p", 1)
    shaper.enqueue(key, 2, partition, 0)
    settle(shaper, running: 1, waiting: 1)

    expect(calls.worked).to eq([2])
    held.open
    drained(shaper)
    expect([calls.acks("p"), calls.acks("pq")]).to eq([[0, 1], [0]])
  end

  it "gives back String sub keys as they were given" do
    held = gate
    shaper = manager(work: ->(_, _, _) { held.pass })
    shaper.enqueue("clé", :running, "pé", 0)
    shaper.enqueue("clé", :waiting, "pé", 1)
    settle(shaper, running: 1, waiting: 1)

    partitions = shaper.stats[:partitions]
    expect(partitions.keys).to eq(["pé"])
    expect(partitions["pé"][:oldest_sub_key]).to eq("clé")
    expect(shaper.revoke("pé")).to eq([["clé", :waiting, "pé", 1]])
  end

  it "holds with keys that switch threads, used by many threads at once (I1, I2)" do
    running = Hash.new(0)
    overlaps = []
    shaper = manager(max_in_queue: 5, concurrency: 6, work: lambda do |(name, _), _, _|
      running[name] += 1
      Thread.pass
      overlaps << name if running[name] != 1
      running[name] -= 1
    end)
    producers = Array.new(4) do |producer|
      in_thread do
        150.times { |n| shaper.enqueue(YieldingKey.new(n % 5), [n % 5, [producer, n]], YieldingKey.new(producer), n) }
      end
    end
    producers.each { |producer| value_of(producer) }
    drained(shaper)

    expect(overlaps).to be_empty
    expect(shaper.stats).to include(total_acked: 600, sub_keys: 0)
    calls.started.group_by { |name, (producer, _)| [name, producer] }.each_value { |own| expect(own).to eq(own.sort) }
  end

  it "keeps what it holds about thousands of sub keys apart though all collide" do
    shaper = manager(concurrency: 4)
    300.times { |n| shaper.enqueue(CollidingKey.new(n), n, CollidingKey.new(n % 2), n) }
    drained(shaper)

    expect(calls.started.sort).to eq((0...300).to_a)
    expect(calls.acks(CollidingKey.new(1))).to eq((0...300).select(&:odd?))
  end

  it "finishes what was enqueued under an Array that changed afterwards" do
    held = gate
    shaper = manager(work: ->(message, _, _) { held.pass if message == :first })
    key = [1]
    shaper.enqueue(key, :first, 0, 0)
    shaper.enqueue(key, :second, 0, 1)
    settle(shaper, running: 1, waiting: 1)
    key << 2
    held.open
    drained(shaper)

    shaper.enqueue([1], :third, 0, 2)
    shaper.enqueue([1, 2], :fourth, 0, 3)
    drained(shaper)
    expect(calls.acks).to eq([0, 1, 2, 3])
  end

  it "finishes what was enqueued under a key whose hash raises from then on (I5)" do
    held = gate
    broken = false
    key = Class.new { define_method(:hash) { broken ? raise("no hash any more") : 5 } }.new
    shaper = manager(concurrency: 1, work: ->(message, _, _) { held.pass if message == :first })
    shaper.enqueue(key, :first, 0, 0)
    shaper.enqueue(key, :second, 0, 1)
    settle(shaper, running: 1, waiting: 1)
    broken = true
    held.open
    drained(shaper)

    shaper.enqueue(:other, :third, 0, 2)
    drained(shaper)
    expect(calls.acks).to eq([0, 1, 2])
    expect(shaper.stats[:fatal]).to be_nil
  end

  describe "whose hash calls the manager back" do
    it "enqueues both" do
      shaper = manager
      shaper.enqueue(MeddlingKey.new { shaper.enqueue(:inner, :inner, 0, 0) }, :outer, 0, 1)
      drained(shaper)

      expect(calls.worked).to contain_exactly(:inner, :outer)
      expect(calls.acks).to eq([0, 1])
    end

    it "does not pass a limit that was reached meanwhile (I7)" do
      held = gate
      shaper = manager(max_in_flight: 1, work: ->(_, _, _) { held.pass })
      key = MeddlingKey.new { shaper.enqueue(:inner, :inner, 0, 0) }

      expect(shaper.try_enqueue(key, :outer, 0, 1)).to be(false)
      expect(shaper.stats).to include(total_enqueued: 1, in_flight: 1)
    end

    it "loses nothing when the partition is revoked meanwhile (I5)" do
      shaper = manager
      shaper.enqueue(:a, :before, :p, 10)
      drained(shaper)
      shaper.enqueue(MeddlingKey.new { shaper.revoke(:p) }, :outer, :p, 3)
      drained(shaper)

      expect(calls.acks(:p)).to eq([10, 3])
      expect(shaper.stats).to include(in_flight: 0, total_dropped: 0, total_acked: 2)
    end

    it "lets nothing in after a shutdown that was asked for meanwhile" do
      shaper = manager
      key = MeddlingKey.new { shaper.request_shutdown }

      expect { shaper.enqueue(key, :outer, 0, 0) }.to raise_error(WorkShaper::ShuttingDown)
      expect(bounded { shaper.shutdown(timeout: 5) }).to be(true)
      expect(calls.worked).to be_empty
    end
  end

  it "keeps nothing of a sub key once nothing of it waits or runs" do
    shaper = manager(max_in_flight: 100)
    2_000.times { |n| shaper.enqueue("key #{n}", n, 0, n) }
    drained(shaper)

    expect(shaper.stats).to include(sub_keys: 0, waiting: 0, running: 0)
  end

  it "keeps no message, sub key or partition object once it is finished" do
    shaper = bare_manager(work: ->(_, _, _) {}, ack: ->(_, _) {})
    token = Class.new
    500.times { |n| shaper.enqueue(token.new, token.new, 0, n) }
    drained(shaper)
    3.times { GC.start }

    # A few may be seen on a machine stack; the rest has to be gone.
    expect(ObjectSpace.each_object(token).count).to be < 50
  end
end
