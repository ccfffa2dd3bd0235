# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "rebalance" do
  let(:topic_partition) { ["orders", 0] }
  let(:done) { [] }

  # Keys that begin with "slow" wait at their gate.
  def gated(gates)
    lambda do |message|
      gates[message.key].pass if message.key.start_with?("slow")
      done << message.payload
    end
  end

  # How many messages that waited were dropped when partitions went. (The log has it when take has returned.)
  def dropped
    eventually { log.entries(/Revoked/).last }[:dropped]
  end

  # Longer than a tick, and the acknowledger has had its turn: what was to be stored by now, is.
  def after_a_tick(consumer)
    turns(3)
    poll_loop_of(consumer).instance_variable_get(:@pool).flush
  end

  describe "when a partition is lost" do
    it "drops what waits, and stores nothing of it any more" do
      gates = gates_by_name
      consumer = running(topic_partition, &gated(gates))
      client.produce("orders", 0, "slow", "slow", "a", "slow")
      eventually { done == %w[a:2] && gates["slow"].waiting == 1 }
      client.lose(topic_partition)
      expect(consumer.stats).to include(assignment: [], waiting: 0, partitions: {})
      expect(dropped).to eq(2)
      gates.open
      eventually { done.size == 2 }
      after_a_tick(consumer)
      expect(done).to eq(%w[a:2 slow:0])
      expect(client.stored + client.refused).to be_empty
    end

    it "stores what was finished before, and nothing that is finished after" do
      gates = gates_by_name
      consumer = running(topic_partition, &gated(gates))
      client.produce("orders", 0, "a", "slow")
      eventually { gates["slow"].waiting == 1 && client.stored_of(*topic_partition) == [1] }
      client.lose(topic_partition)
      gates.open
      eventually { done.size == 2 }
      after_a_tick(consumer)
      expect(client.stored_of(*topic_partition)).to eq([1])
      expect(client.refused).to be_empty
    end

    it "waits for the offset that is being stored, and returns then" do
      gate = self.gate
      running(topic_partition)
      stored = []
      client.on_store = lambda do |*row|
        gate.pass
        stored << row
      end
      client.produce("orders", 0, "a")
      eventually { gate.waiting == 1 }
      revoking = blocked_thread { client.lose(topic_partition) }
      client.produce("orders", 0, "b")
      gate.open
      value_of(revoking)
      expect(stored).to eq([["orders", 0, 1]])
      turns(5)
      expect(stored.size).to eq(1)
    end

    it "answers at once, though all workers are busy and all is full" do
      gate = self.gate
      consumer = running(topic_partition, ["orders", 1], concurrency: 10, max_in_flight: 20) { gate.pass }
      2.times { |partition| client.produce("orders", partition, *Array.new(100, &:to_s)) }
      eventually { consumer.stats[:in_flight] >= 20 && gate.waiting == 10 }
      began = ManagerHelpers.now
      client.lose(topic_partition)
      client.assign(["orders", 2])
      expect(ManagerHelpers.now - began).to be < 5 # the gate is open for nobody before
      expect(consumer.stats[:assignment]).to eq(%w[orders/1 orders/2])
    end

    it "leaves the others as they are" do
      gates = gates_by_name
      consumer = running(topic_partition, ["orders", 1], ["payments", 0], topics: %w[orders payments], &gated(gates))
      client.produce("orders", 1, "slow-other", "a")
      client.produce("payments", 0, "slow-payment", "b")
      eventually { done.size == 2 }
      client.lose(topic_partition)
      gates.open
      eventually { [client.offset_of("orders", 1), client.offset_of("payments", 0)] == [2, 2] }
      expect(consumer.stats[:assignment]).to contain_exactly("orders/1", "payments/0")
    end
  end

  describe "when a partition comes back" do
    it "lets a key wait while an old message of it still runs" do
      gates = gates_by_name
      at_work = []
      running(topic_partition) do |message|
        at_work << message.payload
        gates["slow"].pass if message.key == "slow"
      end
      client.produce("orders", 0, "slow", "a")
      eventually { gates["slow"].waiting == 1 && at_work.size == 2 }
      client.lose(topic_partition)
      client.assign(topic_partition)
      eventually { at_work.count("a:1") == 2 }
      turns(3)
      expect(at_work.count("slow:0")).to eq(1)
      gates.open
      eventually { client.offset_of(*topic_partition) == 2 }
      expect(at_work.count("slow:0")).to eq(2)
    end

    it "does not count what still ends from its first time" do
      gates = gates_by_name
      calls = 0
      running(topic_partition) { |message| (calls += 1) == 1 ? gates["first"].pass : gates[message.key].pass }
      client.produce("orders", 0, "slow")
      eventually { calls == 1 }
      client.lose(topic_partition)
      client.assign(topic_partition)
      gates["first"].open
      eventually { calls == 2 }
      turns(3)
      expect(client.stored).to be_empty
      gates.open
      eventually { client.stored == [["orders", 0, 1]] }
    end

    it "continues from what is committed" do
      running(topic_partition) { |message| done << message.payload }
      client.produce("orders", 0, "a", "b")
      eventually { client.offset_of(*topic_partition) == 2 }
      client.revoke(topic_partition)
      client.produce("orders", 0, "c")
      client.assign(topic_partition)
      eventually { client.offset_of(*topic_partition) == 3 }
      expect(done.sort).to eq(%w[a:0 b:1 c:2])
    end
  end

  describe "when a partition is to be given back" do
    # One message of orders/0 runs and one waits behind it; another partition stays.
    def asked_for(gates, **options)
      consumer = running(topic_partition, ["orders", 1], **options, &gated(gates))
      client.produce("orders", 0, "slow", "slow", "a")
      eventually { gates["slow"].waiting == 1 && done == %w[a:2] }
      [consumer, client.ask_for(topic_partition)]
    end

    it "lets what runs be finished and commits it, drops what waits, and takes nothing more" do
      gates = gates_by_name
      consumer, change = asked_for(gates)
      client.produce("orders", 0, "b")
      client.produce("orders", 1, "c")
      eventually { client.offset_of("orders", 1) == 1 }
      turns(3)
      expect(change).not_to be_done
      expect(consumer.stats).to include(assignment: %w[orders/1], waiting: 0, running: 1)
      gates.open
      eventually { change.done }
      expect(client.committed).to include(topic_partition => 1)
      expect(done).to contain_exactly("a:2", "c:0", "slow:0")
      expect(dropped).to eq(1)
      expect(client.paused_partitions).to be_empty
    end

    it "waits for no longer than revoke_timeout" do
      gates = gates_by_name
      consumer, change = asked_for(gates, revoke_timeout: 0.1)
      eventually { change.done }
      expect(gates["slow"].waiting).to eq(1)
      gates.open
      eventually { consumer.stats[:running].zero? }
      after_a_tick(consumer)
      expect(client.stored_of(*topic_partition)).to be_empty
      expect(client.refused).to be_empty
    end

    it "waits for nothing when revoke_timeout is 0" do
      _, change = asked_for(gates_by_name, revoke_timeout: 0)
      expect(change).to be_done.or(satisfy { turns(1) && change.done })
    end

    it "gives it up at once when it is lost meanwhile" do
      _, change = asked_for(gates_by_name)
      change.lost = true
      eventually { client.interrupt || change.done }
      expect(dropped).to be_between(1, 2)
    end

    it "gives it up, and commits nothing, when librdkafka brings the next assignment without waiting for it" do
      gates = gates_by_name
      consumer, change = asked_for(gates)
      client.calls.clear
      client.assign(["orders", 2])
      expect(change).to be_done
      expect(client.calls).not_to include(:handover)
      expect(consumer.stats[:assignment]).to contain_exactly("orders/1", "orders/2")
      gates.open
      eventually { consumer.stats[:running].zero? }
      expect(client.stored_of(*topic_partition)).to be_empty
      expect(client.paused_partitions).to be_empty
    end

    it "gives it up when it is asked to stop, and not to wait" do
      consumer, change = asked_for(gates_by_name)
      2.times { consumer.stop }
      expect(value_of(thread_of(consumer))).to be(false)
      expect(change).to be_done
    end

    it "asks the broker, before it gives it up, whether anything has overtaken the last commit" do
      running(topic_partition, &gated(gates_by_name))
      client.produce("orders", 0, "a")
      eventually { client.stored == [["orders", 0, 1]] }
      asked = []
      client.on_commit = ->(offsets, _milliseconds) { (asked << [offsets, client.paused_partitions.dup]) && true }
      client.calls.clear
      change = client.ask_for(topic_partition)
      eventually { change.done }
      expect(asked).to eq([[{ topic_partition => 1 }, [topic_partition]]]) # a pause ends with the handover
      expect(client.calls & %i[handover commit]).to eq(%i[handover commit])
    end

    it "says that it was not all confirmed when the commit fails, until the partition is back" do
      client.commit_succeeds = false
      consumer = running(topic_partition, &gated(gates_by_name))
      client.produce("orders", 0, "a")
      eventually { client.stored == [["orders", 0, 1]] }
      asked = []
      client.on_commit = ->(offsets, _milliseconds) { (asked << offsets) && true }
      client.lose(topic_partition)
      expect(stop(consumer)).to be(true)
      expect(asked).to eq([{ topic_partition => 1 }])
    end
  end

  describe "as librdkafka reports it" do
    it "may bring the whole assignment each time" do
      client.replacing = true
      consumer = running(topic_partition)
      client.assign(topic_partition, ["orders", 1])
      expect(consumer.stats[:assignment]).to contain_exactly("orders/0", "orders/1")
      client.assign(topic_partition, ["orders", 1], ["orders", 2])
      expect(consumer.stats[:assignment]).to contain_exactly("orders/0", "orders/1", "orders/2")
    end

    it "may bring only what is new" do
      consumer = running(topic_partition)
      client.assign(["orders", 1])
      client.assign(["payments", 0])
      expect(consumer.stats[:assignment]).to contain_exactly("orders/0", "orders/1", "payments/0")
    end

    # KIP-848 on librdkafka 2.8.0.
    it "may not mention a partition that goes: it is fenced all the same" do
      gates = gates_by_name
      client.replacing = true
      consumer = running(topic_partition, ["orders", 1], revoke_timeout: 0, &gated(gates))
      client.produce("orders", 0, "slow-0", "slow-0")
      client.produce("orders", 1, "slow-1", "slow-1")
      eventually { gates["slow-0"].waiting == 1 && gates["slow-1"].waiting == 1 }
      client.assign(["orders", 1])
      expect(consumer.stats[:assignment]).to eq(%w[orders/1])
      expect(dropped).to eq(1)
      gates.open
      eventually { client.offset_of("orders", 1) == 2 }
      after_a_tick(consumer)
      expect(client.stored_of(*topic_partition) + client.refused).to be_empty
    end

    it "may be a list without partitions" do
      consumer = running(topic_partition)
      client.assign
      client.revoke
      expect(consumer.stats[:assignment]).to eq(%w[orders/0])
    end

    it "may revoke what we never had" do
      consumer = running(topic_partition)
      client.revoke(["payments", 7])
      expect(consumer.stats[:assignment]).to eq(%w[orders/0])
    end

    # librdkafka stops and starts it, and would go back to what is committed.
    it "may take a partition away and give it back at once: nothing of it is repeated" do
      gates = gates_by_name
      client.replacing = true
      consumer = running(topic_partition, &gated(gates))
      client.produce("orders", 0, "slow", "a", "slow")
      eventually { gates["slow"].waiting == 1 && done == %w[a:1] }
      client.assign(topic_partition, ["orders", 1])
      expect(consumer.stats[:assignment]).to eq(%w[orders/0 orders/1])
      client.produce("orders", 0, "b")
      gates.open
      eventually { client.offset_of(*topic_partition) == 4 }
      expect(done.tally).to eq("a:1" => 1, "slow:0" => 1, "slow:2" => 1, "b:3" => 1)
      expect(log.entries(/Revoked/)).to be_empty
    end
  end

  describe "while messages are taken" do
    it "keeps what was taken of a partition that went meanwhile from being worked on" do
      consumer = running(topic_partition, ["orders", 1]) { |message| done << [message.partition, message.offset] }
      gone = nil
      client.on_take = lambda do |messages|
        next unless messages.map(&:partition).uniq.size == 2

        client.on_take = nil
        gone = messages.select { |message| message.partition.zero? }.map(&:offset)
        client.revoke_now(topic_partition, lost: true)
      end
      eventually("no take brought messages of both") do
        2.times { |partition| client.produce("orders", partition, "a", "b", "c") }
        gone
      end
      eventually { client.offset_of("orders", 1) == client.end_offset("orders", 1) }
      after_a_tick(consumer)
      of_gone, of_other = [0, 1].map { |number| done.select { |partition, _offset| partition == number }.map(&:last) }
      expect(of_gone).to all(be < gone.first)
      expect(of_other).to match_array(0...client.end_offset("orders", 1))
      expect(client.stored_of(*topic_partition)).to all(be <= gone.first)
      expect(client.refused).to be_empty
    end

    it "works on what came after a partition was assigned" do
      running { |message| done << message.payload }
      client.produce("orders", 0, "a")
      client.within_take { client.assign_now(topic_partition) }
      eventually { client.offset_of(*topic_partition) == 1 }
      expect(done).to eq(%w[a:0])
    end
  end

  it "keeps order, fence and offsets in a hundred changes in a row" do
    finished = { 0 => [], 1 => [] }
    at_work = Hash.new(0)
    faults = []
    keys = %w[a b c d e]
    running(topic_partition, ["orders", 1], concurrency: 8) do |message|
      name = message.key
      faults << "two of #{name} at once" unless (at_work[name] += 1) == 1
      Thread.pass if message.offset.even?
      at_work[name] -= 1
      finished[message.partition] << message.offset
    end
    random = Random.new(RSpec.configuration.seed)
    store = client.method(:store)
    check = lambda do |topic, partition, offset|
      missing = (0...offset).to_a - finished[partition]
      faults << "#{offset} of #{partition} stored without #{missing.first}" if missing.any?
      client.on_store = nil
      store.call(topic, partition, offset).tap { client.on_store = check }
    end
    client.on_store = check
    100.times do
      2.times do |partition|
        client.produce("orders", partition, *Array.new(20) { "#{keys.sample(random: random)}-#{partition}" })
      end
      gone = [topic_partition, ["orders", 1]].sample(random: random)
      client.revoke(gone)
      client.assign(gone)
    end
    eventually { [0, 1].all? { |partition| client.offset_of("orders", partition) == 2000 } }
    expect(faults).to be_empty
    expect(finished.values.map { |offsets| offsets.uniq.size }).to eq([2000, 2000])
  end

  describe "with a listener of the caller's" do
    let(:listener) do
      Class.new do
        attr_reader :heard

        def initialize
          @heard = []
        end

        def on_partitions_assigned(list)
          @heard << [:assigned, list.to_h.transform_values { |rows| rows.map(&:partition) }]
        end

        def on_partitions_revoked(list)
          @heard << [:revoked, list.to_h.transform_values { |rows| rows.map(&:partition) }]
        end
      end.new
    end

    def running_with(listener, &work)
      config = Rdkafka::Config.new(config_for(ConsumerHelpers::SERVERS, "specs"))
      config.consumer_rebalance_listener = listener
      fake = client # made here: the polling thread would make another
      allow(ConsumerHelpers.client_class).to receive(:new) { |*arguments| fake.connect(*arguments) }
      made_consumer(config: config, topics: "orders", &work).tap do |consumer|
        start(consumer)
      end
    end

    it "tells it of everything, up to the end" do
      consumer = running_with(listener)
      client.assign(topic_partition, ["orders", 1])
      client.revoke(topic_partition)
      stop(consumer)
      expect(listener.heard).to eq([[:assigned, { "orders" => [0, 1] }], [:revoked, { "orders" => [0] }],
                                    [:revoked, { "orders" => [1] }]])
    end

    it "tells it after our own work is done" do
      consumer = nil
      seen = []
      listener.define_singleton_method(:on_partitions_assigned) { |_list| seen << consumer.stats[:assignment] }
      listener.define_singleton_method(:on_partitions_revoked) { |_list| seen << consumer.stats[:assignment] }
      consumer = running_with(listener)
      client.assign(topic_partition)
      eventually { client.interrupt || seen.size == 1 }
      client.revoke(topic_partition)
      eventually { client.interrupt || seen.size == 2 }
      expect(seen).to eq([%w[orders/0], []])
    end

    it "does without the methods that it does not have" do
      consumer = running_with(Object.new) { |message| done << message.payload }
      client.assign(topic_partition)
      client.produce("orders", 0, "a")
      eventually { done == %w[a:0] }
      expect(stop(consumer)).to be(true)
    end

    it "ends run with what it raises, leaving the group" do
      %i[on_partitions_assigned on_partitions_revoked].each do |event|
        @client = nil
        broken = Object.new.tap { |made| made.define_singleton_method(event) { |_list| raise "broken #{event}" } }
        consumer = running_with(broken)
        client.within_take { [client.assign_now(topic_partition), client.revoke_now(topic_partition)] }
        client.interrupt
        expect(failure_of(consumer)).to have_attributes(message: "broken #{event}")
        expect(client).to be_closed
      end
    end

    it "ends run with what it raises, even when all is over" do
      broken = Object.new.tap { |made| made.define_singleton_method(:on_partitions_revoked) { |_list| raise "broken" } }
      consumer = running_with(broken)
      client.assign(topic_partition)
      consumer.stop
      expect(failure_of(consumer)).to have_attributes(message: "broken")
      expect(client).to be_closed
    end
  end
end
