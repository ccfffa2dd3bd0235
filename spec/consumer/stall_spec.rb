# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "when librdkafka brings nothing of a topic that was made again" do
  let(:place) { ["orders", 0] }
  let(:heir) { client.successor }
  let(:done) { Queue.new }

  before do
    replace_constant(inner(:Lookout), :PERIOD, 0.02)
    replace_constant(inner(:Lookout), :TOPICS_PERIOD, 0)
    replace_constant(inner(:Stall), :AFTER, 0.1)
    replace_constant(inner(:Stall), :PERIOD, 0)
    replace_constant(inner(:Waiting), :RETRY_WAIT, 0)
    client.queries.ids["orders"] = "first"
  end

  def told
    log.entries(/joins again/)
  end

  # Has taken two messages; the next client is the heir.
  def working
    running(place, ["orders", 1]) { |message| done << message.payload }.tap do
      client.produce("orders", 0, "a", "b")
      eventually { done.size == 2 }
      rounds
      allow(ConsumerHelpers.client_class).to receive(:new) { |*arguments| heir.connect(*arguments) }
    end
  end

  # With three messages, of which nothing comes.
  def make_again
    client.stalled = [place]
    client.within_take { client.make_again("orders", 0, "second", *%w[c d e]) && nil }
  end

  it "joins again with another client, which begins at the first message" do
    consumer = working
    make_again
    eventually { heir.topics }
    expect(client).to be_closed
    expect(told).to match([include(message: %r{Nothing comes of orders/0, whose topic was made again})])
    heir.assign(place)
    eventually { done.size == 5 && heir.stored_of(*place).last == 3 }
    expect(Array.new(5) { done.pop }).to contain_exactly("a:0", "b:1", "c:0", "d:1", "e:2")
    expect(stop(consumer)).to be(true)
    expect(heir.committed[place]).to eq(3)
    expect(client.misuse + heir.misuse).to be_empty
  end

  describe "a stall" do
    let(:position) { { position: 3, end: 5 } }
    let(:assignment) { instance_double(inner(:Assignment), partitions: { "orders/0" => place }, since: { place => 1 }) }
    let(:back_pressure) { instance_double(inner(:BackPressure)) }
    let(:stall) do
      numbers = instance_double(inner(:Numbers))
      allow(numbers).to receive(:positions) { { "orders/0" => position } }
      inner(:Stall).new(numbers, assignment, back_pressure)
    end

    before do
      replace_constant(inner(:Stall), :AFTER, 10)
      stall.watch(["orders"])
    end

    # What is found after so many seconds more.
    def after(seconds, paused = {})
      @now = (@now || ManagerHelpers.now) + seconds
      allow(stall).to receive(:now).and_return(@now)
      allow(back_pressure).to receive(:paused).and_return(paused)
      stall.partitions
    end

    it "is one when a partition stays for ten seconds where it is, and does not end there" do
      expect([after(0), after(9.9), after(0.1)]).to eq([[], [], ["orders/0"]])
    end

    it "begins anew with each message, each assignment, and when it is resumed" do
      after(0)
      position[:position] = 4
      expect(after(10)).to be_empty
      allow(assignment).to receive(:since).and_return(place => 2)
      expect(after(10)).to be_empty
      expect([after(10, "orders/0" => place), after(10)]).to eq([[], []])
      expect(after(10)).to eq(["orders/0"])
    end

    it "is none at the end, where nothing is known, or of another topic" do
      [{ position: 5, end: 5 }, { position: nil, end: 5 }, { position: 3, end: nil }].each do |row|
        position.replace(row)
        expect([after(0), after(20)]).to eq([[], []])
      end
      allow(assignment).to receive(:partitions).and_return("orders/0" => ["others", 0])
      position.replace(position: 3, end: 5)
      expect([after(0), after(20)]).to eq([[], []])
    end

    it "is looked for once a second" do
      replace_constant(inner(:Stall), :PERIOD, 1)
      replace_constant(inner(:Stall), :AFTER, 0)
      expect([after(1), after(0.5), after(0.5)]).to eq([["orders/0"], [], ["orders/0"]])
    end
  end
end
