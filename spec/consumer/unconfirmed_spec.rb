# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "whose partition is lost before what is finished is committed" do
  # Kafka's numbers for what a broker says to a member that it has forgotten.
  unknown_member = 25

  # Finishes five, and five more whose commit is refused: the broker has forgotten the member.
  define_method(:lose) do |topic, consumer|
    mock.produce_numbered(topic, 5)
    eventually { mock.committed(group, topic)[0] == 5 && consumer.stats.dig(:commits, :confirmed).positive? }
    mock.refuse(:offset_commit, unknown_member)
    mock.produce_numbered(topic, 5)
    eventually { consumer.stats[:commits][:refused].positive? }
  ensure
    mock.forgive(:offset_commit)
  end

  it "goes on where it was when the partition comes back, and commits that" do
    topic = mock_topic
    done = []
    consumer = mock_consumer(topic) { |message| done << message.offset }
    start(consumer)
    lose(topic, consumer)
    eventually { mock.committed(group, topic) == { 0 => 10 } }
    mock.produce_numbered(topic, 1)
    eventually { done.size == 11 }
    expect([done, log.entries(/Assigned/).size]).to eq([[*0..10], 2])
  end

  it "has not finished in order if it does not come back" do
    topic = mock_topic
    consumer = mock_consumer(topic)
    start(consumer)
    %i[COMMIT_TIME REBALANCE_TIME].each { |name| replace_constant(inner(:Departure), name, 0.5) }
    mock.produce_numbered(topic, 5)
    eventually { mock.committed(group, topic)[0] == 5 && consumer.stats.dig(:commits, :confirmed).positive? }
    mock.refuse(:join_group, *[15] * 500) # the coordinator is not available
    mock.refuse(:offset_commit, *[unknown_member] * 500)
    mock.produce_numbered(topic, 5)
    eventually { consumer.stats[:assignment].empty? }
    expect(stop(consumer)).to be(false)
  ensure
    mock.forgive(:join_group)
    mock.forgive(:offset_commit)
  end

  describe "knows where to go on" do
    let(:place) { ["orders", 0] }
    let(:done) { [] }

    # Has finished three messages, of which one is committed.
    def lost
      running(place) { |message| done << message.payload }.tap do
        client.produce("orders", 0, "a")
        eventually { client.stored_of(*place).last == 1 }
        client.revoke(["orders", 7]) # commits what is stored
        client.produce("orders", 0, "b", "c")
        eventually { client.stored_of(*place).last == 3 }
        client.lose(place)
        expect(client.committed).to include(place => 1)
      end
    end

    def come_back
      client.produce("orders", 0, "d")
      client.assign(place)
      eventually { client.offset_of(*place) == client.end_offset(*place) }
    end

    it "at what is finished, when nobody has committed anything since" do
      lost
      come_back
      expect(done).to eq(%w[a:0 b:1 c:2 d:3])
    end

    it "not when somebody else has committed something, or the group was reset" do
      { 0 => %w[a:0 b:1 c:2 d:3], 2 => %w[c:2 d:3] }.each do |committed, again|
        @client = nil
        done.clear
        lost
        client.committed[place] = committed
        come_back
        expect(done.drop(3)).to match_array(again)
      end
    end

    it "also of what is finished beyond what hangs" do
      gate = self.gate
      running(place, ["orders", 1]) { |message| (message.key == "slow" && gate.pass) || (done << message.payload) }
      client.produce("orders", 0, "a")
      eventually { client.stored_of(*place).last == 1 }
      client.revoke(["orders", 1])
      client.produce("orders", 0, "slow", "b", "c")
      eventually { done.size == 3 }
      client.committed[place] = 1
      client.metadata[place] = nil
      client.lose(place)
      gate.open
      come_back
      expect(done.tally).to include("b:2" => 1, "c:3" => 1)
    end
  end
end
