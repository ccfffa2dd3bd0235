# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "and its place in the group" do
  before { replace_constant(inner(:Lookout), :PERIOD, 0.02) }

  # As librdkafka would say it.
  def join_state(state)
    json = "{ \"topics\": {#{" " * 5000}}, \"cgrp\": { \"state\": \"up\", \"join_state\": \"#{state}\" } }"
    memory = FFI::MemoryPointer.from_string(json)
    client.within_take { client.membership.call(nil, memory, json.bytesize, nil) && nil }
  end

  def rejoined
    log.entries(/joins again/).size
  end

  # Makes what would take two seconds visible at once.
  def look
    rounds
    turns
  end

  describe "in a rebalance that does not end" do
    before { replace_constant(inner(:PollLoop), :REBALANCE_TIME, 0.05) }

    it "is not ready, and ill after max_age, until it is over" do
      consumer = running(["orders", 0])
      eventually { consumer.unready.nil? }
      join_state("wait-join")
      eventually { consumer.unready&.match?(/\Aits group has been in a rebalance for \d+ s\z/) }
      expect(consumer.stats[:join_state]).to eq("wait-join")
      expect(consumer.healthy?).to be(true)
      eventually { !consumer.healthy?(max_age: 0.1) }
      join_state("steady")
      eventually { consumer.unready.nil? && consumer.healthy?(max_age: 0.01) }
    end

    it "does not count an outage" do
      replace_constant(inner(:Reachability), :PATIENCE, 0)
      consumer = running(["orders", 0])
      join_state("init")
      client.queries.silent = true
      eventually { consumer.unready == "Kafka does not answer" }
      expect(poll_loop_of(consumer).oldest_trouble_sec).to eq(0)
    end
  end

  describe "without a member id" do
    before { replace_constant(inner(:Membership), :ORPHANED_AFTER, 0.05) }

    it "joins again with another client: what runs is fenced, and goes on where it was" do
      gate = self.gate
      heir = ConsumerHelpers::FakeClient.new
      done = Queue.new
      consumer = running(["orders", 0], ["orders", 1]) do |message|
        gate.pass if message.payload == "a:1"
        done << message.payload
      end
      client.produce("orders", 0, *%w[b a])
      eventually { gate.waiting == 1 && done.size == 1 }
      replace_constant(inner(:Waiting), :RETRY_WAIT, 0)
      allow(ConsumerHelpers.client_class).to receive(:new) { |*arguments| heir.connect(*arguments) }
      client.queries.member_id = ""
      eventually { heir.topics }
      expect(client).to be_closed
      expect(rejoined).to eq(1)
      expect(consumer.stats[:assignment]).to be_empty
      expect(consumer.unready).to eq("the group has given it no assignment yet")
      heir.produce("orders", 0, *%w[b a c])
      heir.assign(["orders", 0])
      gate.open
      eventually { done.size >= 4 && consumer.stats[:in_flight].zero? }
      expect(Array.new(done.size) { done.pop }.uniq).to contain_exactly("b:0", "a:1", "c:2")
      expect(stop(consumer)).to be(true)
      expect(heir.committed[["orders", 0]]).to eq(3)
      expect(client.misuse + heir.misuse).to be_empty
    end

    it "can be stopped while it has no client" do
      replace_constant(inner(:Waiting), :RETRY_WAIT, 30)
      gate = self.gate
      consumer = running(["orders", 0]) { gate.pass }
      client.produce("orders", 0, "a")
      eventually { gate.waiting == 1 }
      client.queries.member_id = ""
      eventually { client.closed? }
      consumer.stop
      eventually { consumer.stats[:shutting_down] || consumer.unready == "it stops" }
      gate.open
      expect(value_of(thread_of(consumer))).to be(true)
    end

    it "does not while partitions are handed over, Kafka is away, or it is yet to join" do
      gate = self.gate
      consumer = running { gate.pass }
      client.queries.member_id = ""
      look
      client.queries.member_id = nil
      client.assign(["orders", 0])
      client.produce("orders", 0, "a")
      eventually { gate.waiting == 1 }
      client.ask_for(["orders", 0]) # which waits for what runs
      eventually { consumer.stats[:assignment].empty? }
      client.queries.member_id = ""
      look
      gate.open
      client.queries.silent = true
      client.queries.member_id = ""
      look
      expect(rejoined).to eq(0)
    end
  end

  describe "as librdkafka asks for changes" do
    let(:membership) { inner(:Membership) }

    def change(kind, generation, carried_out: true, incremental: true)
      instance_double(inner(:Rebalance)::Change, coming?: kind == :assign, lost?: kind == :lose, generation: generation,
                                                 carried_out?: carried_out, incremental?: incremental)
    end

    def orphaned_by?(*changes, **config)
      made = membership.new(config.transform_keys(&:to_s))
      changes.each { |change| made.asked_for(change) }
      made.orphaned?(inner(:Assignment).allocate)
    end

    it "is orphaned when what comes is of a later rebalance than what went, or does not wait for that" do
      expect(orphaned_by?(change(:revoke, 4), change(:assign, 5))).to be(true)
      expect(orphaned_by?(change(:revoke, 4, carried_out: false), change(:assign, 4))).to be(true)
      expect(orphaned_by?(change(:revoke, 4), change(:assign, 5), change(:assign, 6))).to be(true)
    end

    {
      "it has joined again" => [%i[assign assign], 4, 5],
      "partitions were handed over" => [%i[revoke assign assign], 4, 4, 5],
      "partitions went in two rebalances" => [%i[revoke revoke assign], 4, 5, 5],
      "it was put out in the meantime" => [%i[revoke assign assign], 4, -1, 1],
      "they were lost" => [%i[lose assign], 4, 5]
    }.each do |title, (kinds, *generations)|
      it "is not when #{title}" do
        expect(orphaned_by?(*kinds.zip(generations).map { |row| change(*row) })).to be(false)
      end
    end

    it "is not with the eager protocol, nor with KIP-848" do
      expect(orphaned_by?(change(:revoke, 4), change(:assign, 5, incremental: false))).to be(false)
      expect(orphaned_by?(change(:revoke, 4), change(:assign, 5), "group.protocol": "consumer")).to be(false)
    end
  end

  it "gives librdkafka's statistics to an application that asks for them, and to no other" do
    expect_consumer_to_pass(<<~RUBY)
      heard = Queue.new
      Rdkafka::Config.statistics_callback = ->(statistics) { heard << statistics }
      mock_topic(1)
      seen = lambda do |**config|
        c = mock_consumer(config: config) { |m| worked << m.offset }
        thread = Thread.new { c.run }
        wait_until("a state", 30) { c.stats[:join_state] == "steady" }
        c.stop
        ended(thread)
      end
      seen.call
      same(0, heard.size, "statistics of ours")
      seen.call("statistics.interval.ms": 50)
      same("specs", heard.pop.then { |first| first["cgrp"] ? "specs" : first }, "the application's")
      passed
    RUBY
  end

  it "leaves a client as it is that does not come to its end" do
    expect_consumer_to_pass(<<~RUBY)
      client_class = WorkShaper::Consumer.const_get(:Client)
      set_constant(client_class, :CLOSING_TIME, 0.2)
      client_class.singleton_class.prepend(Module.new do
        define_method(:call) { |type, name, *rest| super(type, name, *rest).then { |it| name == "consumer_closed" ? 0 : it } }
      end)
      WorkShaper.logger = Logger.new(log)
      mock_topic(3)
      c = mock_consumer { |m| worked << m.offset }
      thread = Thread.new { c.run }
      wait_until("work") { worked.size == 3 && c.stats[:in_flight].zero? }
      c.stop
      same(true, ended(thread).value, "run")
      same(1, log.string.scan("librdkafka did not leave the group in time").size, "told")
      same(3, committed, "committed")
      GC.start
      passed
    RUBY
  end
end
