# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "crowding" do
  describe "by what its pool says" do
    let(:pool) do
      Struct.new(:rows, :max_bytes, :unfinished, :bytes) do
        def loads(messages, bytes)
          rows if rows.any? { |row| row[1] > messages || row[2] > bytes || row[3].positive? }
        end
      end.new([], 800, 0, 0)
    end

    before { @now = 100.0 }

    def crowding
      @crowding ||= on_own_clock(inner(:Crowding)).new(pool, 400, 20)
    end

    # "a" holds so much, and "b" next to nothing.
    def load(unfinished: 10, bytes: 10, crowded: 0, finished: 0)
      pool.rows = [["a", unfinished, bytes, crowded, finished], ["b", 1, 1, 0, 0]]
    end

    # What is found with that, `seconds` later. Nothing was found before, unless told.
    def found(seconds = 0, known: {}, several: true, **load)
      @now += seconds
      load(**load)
      crowding.look(known, several).keys
    end

    it "finds nobody who holds no more than half of all messages, or of all bytes" do
      expect(Array.new(5) { found(0.1, unfinished: 200, bytes: 400) }.flatten).to be_empty
      expect(crowding).not_to be_reserving
    end

    { "messages" => { unfinished: 201 }, "bytes" => { bytes: 401 }, "messages of one sub key" => { crowded: 1 } }
      .each do |what, load|
      it "finds who has held too many #{what} for 50 ms, and finished nothing" do
        expect([found(**load), found(0.04, **load), found(0.02, **load)]).to eq([[], [], ["a"]])
      end

      it "begins anew with that when it held less meanwhile (#{what})" do
        expect([found(**load), found(0.04), found(0.02, **load), found(0.04, **load)]).to all(be_empty)
      end
    end

    it "finds nobody who was so quick that it will hold little within a second" do
      finds = ->(finished) { [found(crowded: 1000), found(0.1, crowded: 1000, finished: finished)].last }
      expect([finds.call(100), finds.call(99)]).to eq([[], ["a"]])
    end

    it "looks at how quick it was each time" do
      found(crowded: 1000)
      expect(found(0.1, crowded: 1000, finished: 500)).to be_empty
      expect([found(0.01, crowded: 1000, finished: 500), found(0.1, crowded: 1000, finished: 500)]).to eq([[], ["a"]])
    end

    it "keeps the last quarter for the others while somebody holds more than half, but not alone" do
      shares = [{ unfinished: 201 }, { bytes: 401 }, { crowded: 5 }, {}]
      expect(shares.map { |load| found(**load) && crowding.reserving? }).to eq([true, true, false, false])
      found(unfinished: 201, several: false)
      expect(crowding).not_to be_reserving
    end

    it "finds who is alone only for what waits on a sub key" do
      alone = { unfinished: 400, bytes: 800, several: false }
      expect(Array.new(3) { found(0.1, **alone) }.flatten).to be_empty
      expect([found(crowded: 1, **alone), found(0.1, crowded: 1, **alone)]).to eq([[], ["a"]])
    end

    it "takes no less than workers need for too much" do
      small = on_own_clock(inner(:Crowding)).new(pool, 30, 20)
      load(unfinished: 30)
      expect(Array.new(3) { (@now += 0.1) && small.look({}, true) }).to all(be_empty)
    end

    it "lets go of who holds a quarter, and nothing that is crowded" do
      known = { "a" => 1 }
      expect([found(known: known, unfinished: 101), found(known: known, bytes: 201)]).to all(eq(["a"]))
      expect(found(known: known, crowded: 1, unfinished: 100, bytes: 200)).to eq(["a"])
      expect(found(known: known, unfinished: 100, bytes: 200)).to be_empty
    end

    it "lets go of who was so quick that it would lack work before librdkafka has more" do
      found(crowded: 1000)
      expect(found(0.1, crowded: 1000, finished: 20)).to eq(["a"])
      expect([101, 100].map { |left| found(known: { "a" => 1 }, crowded: 1, unfinished: left) }).to eq([["a"], []])
    end

    it "is due every 20 ms, and at once when more than half is held" do
      crowding.look({}, true)
      due = [[0.01, 200, 400], [0.0, 201, 400], [0.0, 200, 401], [0.015, 0, 0]].map do |seconds, unfinished, bytes|
        @now += seconds
        pool.unfinished = unfinished
        pool.bytes = bytes
        crowding.due?
      end
      expect(due).to eq([false, true, true, true])
    end
  end

  describe "of a consumer that runs" do
    let(:gates) { gates_by_name }
    let(:done) { [] }

    # The work of keys that begin with "slow" waits at a gate.
    def consuming(partitions = 2, **options)
      running(*Array.new(partitions) { |number| ["orders", number] }, concurrency: 4, **options) do |message|
        gates["slow"].pass if message.key.start_with?("slow")
        done << message.partition
      end
    end

    def produce(partition, slow:, quick:)
      client.produce("orders", partition, *Array.new(slow, "slow"), *Array.new(quick) { |number| "quick-#{number}" })
    end

    def all_done(counts)
      eventually(-> { "got no further than #{done.tally}" }) { done.tally == counts }
    end

    def finish(offsets)
      gates.open
      offsets.each { |partition, offset| eventually { client.offset_of("orders", partition) == offset } }
    end

    it "pauses a partition alone that holds more than half, and the others go on" do
      consumer = consuming(max_in_flight: 400)
      produce(0, slow: 1000, quick: 10)
      eventually("it was not paused") { consumer.stats[:paused] == ["orders/0"] }
      pool = poll_loop_of(consumer).instance_variable_get(:@pool)
      expect(pool.unfinished_of("orders/0")).to be_between(201, 310)
      produce(1, slow: 0, quick: 3000)
      all_done(1 => 3000)
      expect(consumer.stats[:paused]).to include("orders/0")
      finish(0 => 1010, 1 => 3000)
      eventually { consumer.stats[:paused].empty? }
    end

    it "pauses a partition alone of which one sub key is full, and the others go on" do
      consumer = consuming(max_in_queue: 50)
      produce(0, slow: 500, quick: 10)
      eventually("it was not paused") { consumer.stats[:paused] == ["orders/0"] }
      produce(1, slow: 0, quick: 3000)
      eventually(-> { "got no further than #{done.tally}" }) { done.count(1) == 3000 }
      expect(consumer.stats[:paused]).to include("orders/0")
      finish(0 => 510, 1 => 3000)
      eventually { consumer.stats[:paused].empty? }
    end

    it "pauses a partition that is heavy, and the others go on" do
      consumer = consuming(max_bytes: 40_000)
      client.produce("orders", 0, *Array.new(100, "slow".ljust(500)))
      eventually("it was not paused") { consumer.stats[:paused] == ["orders/0"] }
      expect(consumer.stats[:bytes]).to be_between(20_000, 36_000)
      produce(1, slow: 0, quick: 3000)
      all_done(1 => 3000)
      finish(0 => 100, 1 => 3000)
    end

    { max_bytes: 40_000, max_in_flight: 40 }.each do |limit, most|
      it "lets the others go on when there was no room (#{limit}) for so long that all were paused before it" do
        %i[PAUSE_AFTER PAUSE_AFTER_BYTES].each { |name| replace_constant(inner(:BackPressure), name, 0) }
        consumer = consuming(limit => most)
        client.produce("orders", 0, *Array.new(100, "slow".ljust(500)))
        eventually("the others were not let go") { client.calls.include?(:resume) }
        eventually("it was not paused alone") { consumer.stats[:paused] == ["orders/0"] }
        produce(1, slow: 0, quick: 300)
        all_done(1 => 300)
        expect(consumer.stats[:paused]).to include("orders/0")
        finish(0 => 100, 1 => 300)
      end
    end

    it "never pauses for a sub key that is quick" do
      replace_constant(inner(:Crowding), :PATIENCE, 1) # a busy machine may leave the workers no time in a moment
      consuming(max_in_queue: 10)
      still = longest_standstill do
        client.produce("orders", 0, *Array.new(20_000, "quick"))
        client.produce("orders", 1, *Array.new(20_000, "quick, too"))
        all_done(0 => 20_000, 1 => 20_000)
      end
      skip "the machine stood still for #{still} s" if still > 0.5
      expect(client.calls).not_to include(:pause)
    end

    it "leaves no pause behind in a partition that goes" do
      consumer = consuming(max_in_queue: 50)
      produce(0, slow: 500, quick: 10)
      eventually("it was not paused") { consumer.stats[:paused] == ["orders/0"] }
      client.revoke(["orders", 0])
      expect([consumer.stats[:paused], client.paused_partitions]).to eq([[], []])
      gates.open
      client.assign(["orders", 0])
      finish(0 => 510)
    end

    it "resumes each once, also when all were paused meanwhile" do
      replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0.1)
      consumer = consuming(max_in_queue: 20, max_in_flight: 100)
      produce(0, slow: 500, quick: 0)
      eventually("it was not paused") { consumer.stats[:paused] == ["orders/0"] }
      client.produce("orders", 1, *Array.new(500) { |number| "slow-#{number}" })
      eventually("not all were paused") { consumer.stats[:paused].sort == ["orders/0", "orders/1"] }
      finish(0 => 500, 1 => 500)
      eventually { consumer.stats[:paused].empty? }
      expect(client.paused_partitions).to be_empty
    end
  end
end
