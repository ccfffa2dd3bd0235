# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Manager, "#enqueue" do
  # Counts how many of one sub key run at the same time, and gives the other threads every chance to.
  def overlap_detector
    running = Hash.new(0)
    overlaps = []
    work = lambda do |(key, _), _partition, _offset|
      running[key] += 1
      3.times { Thread.pass }
      overlaps << key if running[key] != 1
      running[key] -= 1
    end
    [work, overlaps]
  end

  it "returns true and gives every callback the very objects that were enqueued" do
    shaper = manager
    message = Object.new
    partition = [:topic, 3]

    expect(shaper.enqueue("key", message, partition, 42)).to be(true)
    drained(shaper)

    expect(calls.all.map(&:kind)).to eq(%i[work worked done ack])
    expect(calls.of(:work).first).to have_attributes(message: equal(message), partition: partition, offset: 42)
    expect(calls.of(:done).first).to have_attributes(message: equal(message), partition: partition, offset: 42)
    expect(calls.of(:ack).first).to have_attributes(partition: partition, offset: 42)
  end

  it "runs work and on_done on the same worker, never on the caller's thread" do
    shaper = manager
    shaper.enqueue(:key, :message, 0, 0)
    drained(shaper)

    work = calls.of(:work).first.thread
    done = calls.of(:done).first.thread
    expect(work).to equal(done)
    expect(work.name).to start_with("work_shaper worker")
  end

  { "nil" => nil, "false" => false, "an Array" => [], "a Hash" => {}, "a big Integer" => 2**80, "a String" => "text",
    "a BasicObject" => BasicObject.new, "a Class" => Class.new }.each do |name, message|
    it "carries any message: #{name}" do
      received = []
      shaper = bare_manager(work: ->(got, _, _) { received << got }, ack: ->(_, _) {})
      shaper.enqueue(:key, message, 0, 0)
      drained(shaper)

      expect(received.size).to eq(1)
      expect(received.first.__id__).to eq(message.__id__)
    end
  end

  it "starts the work of one sub key in the order of enqueue (I2)" do
    shaper = manager(max_in_queue: 1_000)
    1_000.times { |offset| shaper.enqueue(:key, offset, 0, offset) }
    drained(shaper)

    expect(calls.started).to eq((0...1_000).to_a)
  end

  it "holds for every sub key of many, whatever their partitions (I2)" do
    shaper = manager(max_in_queue: 1_000, concurrency: 8)
    2_000.times { |n| shaper.enqueue(n % 7, n, n % 3, n) }
    drained(shaper)

    calls.started.group_by { |n| n % 7 }.each_value { |order| expect(order).to eq(order.sort) }
    expect(calls.started.sort).to eq((0...2_000).to_a)
  end

  it "never runs two of one sub key at the same time (I1)" do
    work, overlaps = overlap_detector
    shaper = manager(work: work, concurrency: 8)
    1_000.times { |n| shaper.enqueue(n % 3, [n % 3, n], n % 2, n) }
    drained(shaper)

    expect(overlaps).to be_empty
    expect(calls.worked.size).to eq(1_000)
  end

  it "counts on_done and on_error as part of the work of a sub key (I1)" do
    held = gate
    shaper = manager(work: ->(message, _, _) { raise "failed" if message == :failing },
                     on_done: ->(message, _, _) { held.pass if message == :slow },
                     on_error: ->(_, _, _, _) { held.pass })
    shaper.enqueue(:a, :slow, 0, 0)
    shaper.enqueue(:a, :next, 0, 1)
    shaper.enqueue(:b, :failing, 0, 2)
    shaper.enqueue(:b, :next, 0, 3)
    eventually { held.waiting == 2 }
    drained_other = calls.started
    held.open
    drained(shaper)

    expect(drained_other).to contain_exactly(:slow, :failing)
    expect(calls.started.size).to eq(4)
  end

  it "runs different sub keys of one partition side by side" do
    gates = Array.new(2) { gate }
    shaper = manager(work: lambda do |n, _, _|
      gates[n].open
      gates[1 - n].pass
    end)
    2.times { |n| shaper.enqueue("key #{n}", n, 0, n) }

    drained(shaper)
    expect(calls.errors).to be_empty
  end

  it "keeps one sub key serial across partitions" do
    held = gate
    shaper = manager(work: ->(_, partition, _) { held.pass if partition == :p })
    shaper.enqueue(:key, :first, :p, 5)
    shaper.enqueue(:key, :second, :q, 5)
    settle(shaper, running: 1, waiting: 1)

    expect(calls.started).to eq([:first])
    held.open
    drained(shaper)
    expect(calls.started).to eq(%i[first second])
    expect([calls.acks(:p), calls.acks(:q)]).to eq([[5], [5]])
  end

  [[0], [(2**63) - 1], [0, (2**63) - 1], [7, 8, 1_000_000, 2**62, (2**63) - 1]].each do |offsets|
    it "takes offsets #{offsets.inspect}, gaps and all" do
      shaper = manager(acks: :every)
      offsets.each { |offset| shaper.enqueue(offset, :message, 0, offset) }
      drained(shaper)

      expect(calls.acks).to eq(offsets)
      expect(shaper.stats[:partitions][0][:last_acked]).to eq(offsets.last)
    end
  end

  it "takes messages from many threads at once and loses none" do
    work, overlaps = overlap_detector
    shaper = manager(work: work, max_in_queue: 3, max_in_flight: 40, concurrency: 5)
    producers = Array.new(6) do |producer|
      in_thread { 200.times { |n| shaper.enqueue(n % 4, [n % 4, [producer, n]], producer, n) } }
    end
    producers.each { |producer| value_of(producer) }
    drained(shaper)

    expect(overlaps).to be_empty
    6.times { |producer| expect(calls.acks(producer)).to eq((0...200).to_a) }
    calls.started.group_by { |key, (producer, _)| [key, producer] }.each_value { |own| expect(own).to eq(own.sort) }
  end

  describe "from inside a callback" do
    it "takes what work adds, to its own sub key too" do
      shaper = nil
      shaper = manager(work: ->(n, _, _) { shaper.enqueue(n.odd? ? :own : n, n + 1, 0, n + 1) if n < 200 })
      shaper.enqueue(:own, 0, 0, 0)

      eventually { calls.worked.size == 201 }
      drained(shaper)
      expect(calls.acks).to eq((0..200).to_a)
    end

    it "takes what on_done, on_error and ack add" do
      shaper = nil
      shaper = manager(
        work: ->(message, _, _) { raise "failed" if message == :failing },
        on_done: ->(message, _, _) { shaper.enqueue(:b, :failing, 0, 1) if message == :first },
        on_error: ->(_, _, _, _) { shaper.enqueue(:c, :third, 0, 2) },
        ack: ->(partition, offset) { shaper.enqueue(:d, :last, 1, 0) if [partition, offset] == [0, 2] }
      )
      shaper.enqueue(:a, :first, 0, 0)

      eventually { calls.acks(1) == [0] }
      expect(calls.started).to eq(%i[first failing third last])
    end

    { "its sub key" => { max_in_queue: 1, max_in_flight: 100 },
      "the manager" => { max_in_queue: 100, max_in_flight: 2 } }.each do |what, limits|
      it "raises Full at once when #{what} is full, and changes nothing" do
        shaper = nil
        added = gate
        shaper = manager(**limits, work: lambda do |message, _, _|
          next unless message == :first

          added.pass
          shaper.enqueue(:key, :too_many, 0, 2)
        end)
        shaper.enqueue(:key, :first, 0, 0)
        settle(shaper, running: 1)
        shaper.enqueue(:key, :second, 0, 1)
        added.open
        drained(shaper)

        expect(calls.errors).to contain_exactly(an_instance_of(WorkShaper::Full))
        expect(calls.worked).to eq([:second])
        expect(shaper.total_enqueued).to eq(2)
      end
    end

    it "waits there when a timeout is given" do
      held = gate
      shaper = nil
      shaper = manager(max_in_flight: 2, work: lambda do |message, _, _|
        held.pass if message == :slow
        shaper.enqueue(:c, :third, 0, 2, timeout: ManagerHelpers::DEADLINE) if message == :adding
      end)
      shaper.enqueue(:a, :slow, 0, 0)
      shaper.enqueue(:b, :adding, 0, 1)
      adding = eventually { calls.of(:work).find { |call| call.message == :adding } }.thread
      eventually { adding.stop? }

      held.open
      drained(shaper)
      expect(calls.errors).to be_empty
      expect(calls.acks).to eq([0, 1, 2])
    end

    it "raises Full there when the timeout passes" do
      shaper = nil
      shaper = manager(max_in_flight: 1, work: ->(_, _, _) { shaper.enqueue(:b, :m, 0, 1, timeout: 0.01) })
      shaper.enqueue(:a, :m, 0, 0)
      drained(shaper)

      expect(calls.errors).to contain_exactly(an_instance_of(WorkShaper::Full))
    end

    it "raises Full at once from ack, on whichever thread ack runs" do
      errors = []
      shaper = nil
      shaper = manager(max_in_flight: 1, ack: lambda do |_, offset|
        shaper.enqueue(:b, :m, 1, offset)
      rescue WorkShaper::Full => e
        errors << e
      end)
      20.times do |offset|
        shaper.enqueue(:a, :m, 0, offset)
        settle(shaper)
        bounded { shaper.flush }
      end
      drained(shaper)

      expect(calls.acks(0)).to eq((0...20).to_a)
      expect(errors.size + calls.acks(1).size).to eq(20)
    end

    it "waits as usual in a callback of another manager" do
      held = gate
      full = manager(max_in_flight: 1, calls: ManagerHelpers::Calls.new, work: ->(_, _, _) { held.pass })
      full.enqueue(:key, :first, 0, 0)
      entered = gate
      other = manager(work: lambda do |_, _, _|
        entered.open
        full.enqueue(:key, :second, 0, 1)
      end)
      other.enqueue(:key, :message, 0, 0)
      entered.pass
      worker = calls.of(:work).first.thread
      eventually { worker.stop? }

      held.open
      drained(other)
      drained(full)
      expect(calls.errors).to be_empty
      expect(full.total_acked).to eq(2)
    end
  end
end
