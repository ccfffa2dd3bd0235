# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "in-flight limit" do
  let(:concurrency) { 4 }
  let(:start_size) { 8 }

  describe "by what its pool says" do
    let(:pool) do
      Struct.new(:unfinished, :idle_time, :max_in_flight, :bytes_left, :max_bytes, :ready, :awaited, :meanwhile) do
        def await_room(*how)
          self.awaited = how
          meanwhile&.call
        end

        def ready?
          ready
        end
      end.new(0, 5.0, nil, 1000, 1000)
    end

    before do
      { TOLERATED: 0.01, LOSS: 0.0015, CALM: 1.0 }.each do |name, value|
        replace_constant(inner(:InFlightLimit), name, value)
      end
      @now = 100.0
    end

    def limit(most = 10_000)
      @limit ||= on_own_clock(inner(:InFlightLimit)).new(pool, concurrency, most)
    end

    def fill(size = limit.size)
      pool.unfinished = size
    end

    # Time goes by, and the average worker idles for some of it: while the limit waits for room, or before when there
    # is some. Returns the size then.
    def after(seconds, idle: 0, held: false)
      pass = lambda do
        @now += seconds
        pool.idle_time += idle
      end
      pool.meanwhile = limit.room.zero? ? pass : pass.call && nil
      limit.await_room(20, held)
      limit.size
    end

    # It was full all the time, and workers lacked work for so long beyond what is tolerated.
    def lost(milliseconds)
      fill
      after(0.01, idle: (milliseconds / 1000.0) + 0.0001)
    end

    def growth(count)
      Array.new(count) { lost(2) }
    end

    it "begins with two messages per worker, and tells the pool" do
      expect(limit.size).to eq(start_size)
      expect(pool.max_in_flight).to eq(start_size)
    end

    it "begins with no more than there may be" do
      expect(limit(5).size).to eq(5)
      expect(pool.max_in_flight).to eq(5)
    end

    it "knows its room, even when more than that came in" do
      expect([0, 5, 8, 20].map { |count| fill(count) && limit.room }).to eq([8, 3, 0, 0])
    end

    it "waits for room when there is none, and says how much there is then" do
      expect([fill(5), limit.await_room(20, false), pool.awaited]).to eq([5, 3, nil])
      fill
      pool.meanwhile = -> { pool.unfinished -= 2 }
      expect(limit.await_room(20, false)).to eq(2)
      expect(pool.awaited).to eq([20])
    end

    it "knows for how long it has been full" do
      fill
      times = Array.new(2) { after(0.5) && limit.full_for }
      fill(7)
      after(0)
      expect([*times, limit.full_for]).to eq([0.5, 1.0, 0])
    end

    it "doubles when workers lacked work because it was full, and tells the pool" do
      expect(lost(1.6)).to eq(16)
      expect(pool.max_in_flight).to eq(16)
    end

    it "does not double for less" do
      expect(lost(1.4)).to eq(start_size)
    end

    it "adds up what workers lacked" do
      expect(Array.new(3) { lost(0.6) }).to eq([8, 8, 16])
    end

    it "begins anew with that when it has doubled" do
      expect([lost(1.6), lost(1.4), lost(0.2)]).to eq([16, 16, 32])
    end

    it "does not double for the hundredth of their time that workers may idle" do
      fill
      expect(Array.new(1000) { after(0.01, idle: 0.0001) }).to all(eq(start_size))
    end

    it "saves up nothing of that hundredth" do
      fill
      expect([after(0.9), lost(1.6)]).to eq([8, 16])
    end

    it "never doubles beyond what may be" do
      expect([limit(50), growth(5)].last).to eq([16, 32, 50, 50, 50])
      expect(pool.max_in_flight).to eq(50)
    end

    it "halves when workers had enough for a second, and again, down to where it began" do
      growth(4)
      fill(0)
      expect(Array.new(6) { after(1.01) }).to eq([64, 32, 16, 8, 8, 8])
      expect(pool.max_in_flight).to eq(8)
    end

    it "halves down to where it began, not below" do
      limit(50)
      growth(3)
      fill(0)
      expect(Array.new(4) { after(1.01) }).to eq([25, 12, 8, 8])
    end

    it "does not halve within a second after it changed" do
      growth(2)
      expect([after(0.98), after(0.03), after(0.98), after(0.03)]).to eq([32, 16, 16, 8])
    end

    it "halves though it is full when workers have enough all the same, but not as long as it is overfull" do
      growth(2)
      fill
      expect([after(0.6), after(0.6), after(0.6), after(0.6)]).to eq([32, 16, 16, 16])
      fill(20)
      expect(after(0.6)).to eq(8)
    end

    it "does not halve while nothing is taken although there is room" do
      growth(2)
      fill(10)
      expect([after(1.1, held: true), after(1.1, held: true), after(0.1)]).to eq([32, 32, 16])
    end

    it "doubles rather than halves when both are due" do
      growth(1)
      fill
      expect(after(1.1, idle: 0.5)).to eq(32)
    end

    it "does not count that workers idle while it is not full" do
      fill(7)
      expect(Array.new(10) { after(0.05, idle: 0.05) }).to all(eq(start_size))
    end

    it "counts that workers idle while nothing is taken although there is room" do
      fill(7)
      expect([after(0.05, idle: 0.05, held: true), after(0.05, idle: 0.05, held: true)]).to eq([8, 16])
    end

    it "does not count that workers idle when something is ready" do
      pool.ready = true
      expect(growth(5)).to all(eq(start_size))
    end
  end

  describe "of a consumer that runs" do
    let(:topic_partition) { ["orders", 0] }
    let(:gates) { gates_by_name }
    let(:done) { [] }
    # back_pressure.rb, PAUSE_AFTER being 0.1: one message every FULL_WAIT until then; and a turn or two.
    let(:strays) { 7 }

    before { replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0.1) }

    # The work of keys that begin with "slow" or "held" waits at a gate.
    def consuming(**options)
      running(topic_partition, concurrency: concurrency, **options) do |message|
        name = message.key[/\A(slow|held)/]
        gates[name].pass if name
        done << message.offset
      end
    end

    def limit_of(consumer)
      poll_loop_of(consumer).instance_variable_get(:@in_flight_limit)
    end

    # Each key is its own; all workers are at work before more comes in, so none of them lacks work while it does.
    def hold_all_workers
      client.produce("orders", 0, *Array.new(concurrency) { |number| "held-#{number}" })
      eventually("not all are at work") { gates["held"].waiting == concurrency }
      client.produce("orders", 0, *Array.new(3000) { |number| "held-more-#{number}" })
    end

    def expect_few_in_flight(consumer)
      eventually("it never paused") { consumer.stats[:paused].any? }
      turns(5)
      expect(consumer.stats[:in_flight]).to be_between(start_size, start_size + strays)
      expect(limit_of(consumer).size).to eq(start_size)
    end

    # One of ten is of the slow key, the first among them: when the others are done, all are in flight still.
    def grow(consumer)
      client.produce("orders", 0, *Array.new(3000) { |number| (number % 10).zero? ? "slow" : "quick-#{number}" })
      eventually(-> { "got no further than #{done.size}" }) { done.size == 2700 }
      expect(consumer.stats[:in_flight]).to eq(3000)
    end

    it "has no more than two messages per worker in flight while all are at work, whatever there is" do
      consumer = consuming
      hold_all_workers
      expect_few_in_flight(consumer)
      gates.open
      eventually { client.offset_of(*topic_partition) == 3004 }
      expect(done.tally.values).to all(eq(1))
    end

    it "grows beside a slow key, until all others are done" do
      grow(consuming)
      gates.open
      eventually { client.offset_of(*topic_partition) == 3000 }
      expect(done.sort).to eq((0...3000).to_a)
    end

    it "grows behind a run of one key, for which one worker was started" do
      consuming
      client.produce("orders", 0, *Array.new(50, "slow"), *Array.new(50) { |number| "quick-#{number}" })
      eventually(-> { "got no further than #{done.size}" }) { done.size == 50 }
      expect(done.sort).to eq((50...100).to_a)
      gates.open
      eventually { client.offset_of(*topic_partition) == 100 }
    end

    it "does not wait for a long tick when all that it may take is finished" do
      replace_constant(inner(:BackPressure), :PAUSE_AFTER, 5)
      consuming(max_in_flight: 100, offset_commit_period_ms: 600_000)
      client.produce("orders", 0, *Array.new(2000) { |number| "quick-#{number}" })
      eventually(-> { "got no further than #{done.size}" }) { done.size == 2000 }
      expect(client.calls).not_to include(:pause)
    end

    it "does not count what is finished behind a message that hangs" do
      replace_constant(inner(:BackPressure), :PAUSE_AFTER, 5)
      consumer = consuming(max_in_flight: 20)
      client.produce("orders", 0, "slow", *Array.new(2000) { |number| "quick-#{number % 50}" })
      eventually(-> { "got no further than #{done.size}" }) { done.size == 2000 }
      expect(client.calls).not_to include(:pause)
      eventually { consumer.stats.values_at(:in_flight, :waiting, :running) == [2001, 0, 1] }
      gates.open
      eventually { client.offset_of(*topic_partition) == 2001 }
    end

    it "is small again when it has been calm" do
      consumer = consuming
      grow(consumer)
      gates["slow"].open
      replace_constant(inner(:InFlightLimit), :CALM, 0.02)
      eventually { client.interrupt || (done.size == 3000 && limit_of(consumer).size == start_size) }
      hold_all_workers
      expect_few_in_flight(consumer)
    end

    it "works when one message may be in flight, across a pause, too" do
      consumer = consuming(max_in_flight: 1)
      client.produce("orders", 0, "held", *Array.new(100) { |number| "quick-#{number % 3}" })
      eventually("it never paused") { consumer.stats[:paused].any? }
      turns(5)
      expect(consumer.stats[:in_flight]).to be_between(1, 1 + strays)
      expect(client.calls).not_to include(:resume)
      gates.open
      eventually { client.offset_of(*topic_partition) == 101 }
      expect(done.sort).to eq((0..100).to_a)
      expect(limit_of(consumer).size).to eq(1)
    end
  end
end
