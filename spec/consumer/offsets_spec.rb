# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "offsets" do
  # Illegal generation, unknown member, state, unknown partition, assignment lost.
  let(:lost) { [22, 25, -172, -190, -142] }

  def numbers(count, key = "key")
    Array.new(count) { |number| "#{key}-#{number}" }
  end

  describe "on the mock cluster" do
    it "are committed plus one, once, while it runs: of 0..9 it has 10" do
      topic = mock_topic
      mock.produce_numbered(topic, 10)
      done = []
      consumer = mock_consumer(topic) { |message| done << message.offset }
      start(consumer)
      eventually { mock.committed(group, topic) == { 0 => 10 } }
      expect(stop(consumer)).to be(true)
      expect(mock.committed(group, topic)).to eq(0 => 10)
      expect(done).to eq((0..9).to_a)
    end

    it "are where the next consumer of the group continues" do
      topic = mock_topic
      rounds = Array.new(2) do |round|
        mock.produce(topic, (0...5).map { |number| [0, "key", "#{round}:#{number}"] })
        done = []
        consumer = mock_consumer(topic) { |message| done << message.payload }
        start(consumer)
        eventually { done.last == "#{round}:4" }
        expect(stop(consumer)).to be(true)
        done
      end
      expect(rounds).to eq([(0..4).map { |number| "0:#{number}" }, (0..4).map { |number| "1:#{number}" }])
    end

    it "of two topics with the same partition numbers never mix" do
      topics = [mock_topic(partitions: 2), mock_topic(partitions: 2)]
      counts = { topics[0] => { 0 => 3, 1 => 11 }, topics[1] => { 0 => 7, 1 => 5 } }
      counts.each do |topic, partitions|
        partitions.each { |number, count| mock.produce_numbered(topic, count, partition: number) }
      end
      done = 0
      consumer = mock_consumer(topics) { done += 1 }
      start(consumer)
      eventually { done == 26 }
      expect(stop(consumer)).to be(true)
      expect(topics.to_h { |topic| [topic, mock.committed(group, topic, partitions: 2)] }).to eq(counts)
    end

    # librdkafka sends the commit again that was refused, behind the last one, and takes its success for a refusal.
    it "are committed again when an older commit has come behind the last one" do
      events # are recorded
      kafka = ConsumerHelpers::MockCluster.new
      kafka.create_topic("orders", partitions: 1)
      kafka.refuse(:offset_commit, 14) # the coordinator is loading
      config = config_for(kafka.bootstrap_servers, group)
               .merge("auto.commit.interval.ms": 20, "retry.backoff.ms": 3_000, "retry.backoff.max.ms": 3_000)
      start(consumer = made_consumer(config: config, topics: "orders") { nil })
      kafka.produce_numbered("orders", 1)
      eventually { kafka.committed(group, "orders")[0] == 1 } # by the second commit
      kafka.produce_numbered("orders", 19)
      eventually { kafka.committed(group, "orders")[0] == 20 }
      expect(events_of(:commit_refused).map { |refused| refused[:offset] }).to eq([1])
      eventually { log.entries(/went back: they are committed again/).any? }
      eventually { kafka.committed(group, "orders")[0] == 20 }
      expect(stop(consumer)).to be(true)
    ensure
      kafka.close
    end

    it "are committed at the stop, however long the interval is" do
      topic = mock_topic
      mock.produce_numbered(topic, 10)
      done = 0
      consumer = mock_consumer(topic, config: { "auto.commit.interval.ms": 60_000 }) { done += 1 }
      start(consumer)
      eventually { done == 10 }
      expect(mock.committed(group, topic)).to eq(0 => nil)
      expect(stop(consumer)).to be(true)
      expect(mock.committed(group, topic)).to eq(0 => 10)
    end

    it "with nothing to commit at the stop are no failure" do
      consumer = mock_consumer(mock_topic)
      start(consumer)
      eventually { consumer.stats[:assignment]&.any? }
      expect(stop(consumer)).to be(true)
      expect(log.entries(/commit/)).to be_empty
    end

    it "that could not be committed at the stop make run false, with a warning" do
      topic = mock_topic
      mock.produce_numbered(topic, 3)
      done = 0
      consumer = mock_consumer(topic, config: { "auto.commit.interval.ms": 60_000 }) { done += 1 }
      start(consumer)
      eventually { done == 3 }
      replace_constant(inner(:Departure), :REBALANCE_TIME, 0.5)
      replace_constant(inner(:Departure), :COMMIT_TIME, 0.5)
      mock.refuse(:offset_commit, *([29] * 1000)) # topic authorization failed
      expect(stop(consumer)).to be(false)
      expect(log.entries(/last commit/, "WARN").size).to eq(1)
    ensure
      mock.forgive(:offset_commit)
    end
  end

  describe "stored" do
    it "are not before the work is finished, nor beyond what is not" do
      gates = gates_by_name
      running(["orders", 0]) { |message| gates[message.key].pass }
      client.produce("orders", 0, "a", "b", "c")
      eventually { gates["c"].waiting == 1 }
      gates["b"].open
      gates["c"].open
      turns(5)
      expect(client.stored).to be_empty
      gates["a"].open
      eventually { client.stored_of("orders", 0).last == 3 }
    end

    it "only grow" do
      done = 0
      running(["orders", 0], concurrency: 10) do
        Thread.pass if (done += 1).even?
      end
      20.times { |round| client.produce("orders", 0, *numbers(50, round)) }
      eventually { client.offset_of("orders", 0) == 1000 }
      expect(client.stored_of("orders", 0).each_cons(2)).to all(satisfy { |first, second| first < second })
    end

    it "are once per partition and tick" do
      done = 0
      running(["orders", 0], ["orders", 1], offset_commit_period_ms: 200) { done += 1 }
      began = ManagerHelpers.now
      2.times { |partition| client.produce("orders", partition, *numbers(2000)) }
      eventually { client.offset_of("orders", 0) == 2000 && client.offset_of("orders", 1) == 2000 }
      ticks = ((ManagerHelpers.now - began) / 0.2).ceil
      expect(client.stored.size).to be <= 2 * (ticks + 1)
    end

    it "are by topic and partition" do
      done = 0
      running(["orders", 1], ["payments", 1], topics: %w[orders payments]) { done += 1 }
      client.produce("orders", 1, *numbers(3))
      client.produce("payments", 1, *numbers(8))
      eventually { done == 11 && client.offset_of("payments", 1) == 8 }
      eventually { client.offset_of("orders", 1) == 3 }
      expect(client.stored.map { |row| row.first(2) }.uniq).to contain_exactly(["orders", 1], ["payments", 1])
    end

    it "may be refused because the partition is lost: a warning, and it goes on" do
      done = []
      running(["orders", 0]) { |message| done << message.payload }
      client.on_store = ->(*) { false }
      client.produce("orders", 0, "a")
      eventually { log.messages("WARN").to_s.include?("orders/0") }
      client.on_store = nil
      client.produce("orders", 0, "b")
      eventually { client.stored_of("orders", 0) == [2] }
      expect(done).to eq(%w[a:0 b:1])
    end

    it "end run with the error when storing raises, after what runs is finished; it leaves the group" do
      gate = self.gate
      finished = false
      consumer = running(["orders", 0], ["orders", 1]) do |message|
        next unless message.key == "slow"

        gate.pass
        finished = true
      end
      client.on_store = ->(*) { raise Rdkafka::RdkafkaError, -186 }
      client.produce("orders", 1, "slow")
      eventually { gate.waiting == 1 }
      client.produce("orders", 0, "a")
      eventually { poll_loop_of(consumer).instance_variable_get(:@pool).shutting_down? }
      expect(thread_of(consumer)).to be_alive
      gate.open
      expect(failure_of(consumer)).to be_a(Rdkafka::RdkafkaError).and have_attributes(code: :invalid_arg)
      expect(finished).to be(true)
      expect(client).to be_closed
      expect(consumer).not_to be_healthy
    end

    it "are merely refused, time and again, with errors that say that another has the partition" do
      intake = instance_double(WorkShaper.const_get(:Intake))
      real = ConsumerHelpers.client_class.allocate
      real.instance_variable_set(:@intake, intake)
      real.instance_variable_set(:@commits, inner(:CommitResults).new)
      lost.each do |code|
        allow(intake).to receive(:store).and_return(code)
        expect(real.store("orders", 0, 1)).to be(false), "#{code} is taken for an error"
      end
      allow(intake).to receive(:store).and_return(0)
      expect(real.store("orders", 0, 1)).to be(true)
      allow(intake).to receive(:store).and_return(-186)
      expect { real.store("orders", 0, 1) }.to raise_error(Rdkafka::RdkafkaError, /offset 1 of orders.0/)
    end
  end

  it "with gaps between them do no harm" do
    messages = [3, 7, 8, 100].map do |offset|
      WorkShaper::Message.new(topic: "orders", partition: 0, offset: offset, key: "key")
    end
    running(["orders", 0])
    client.within_take { messages }
    eventually { client.stored_of("orders", 0).last == 101 }
    expect(client.stored_of("orders", 0) - [4, 8, 9, 101]).to be_empty
  end

  it "may be as large as Kafka has them" do
    message = WorkShaper::Message.new(topic: "orders", partition: (2**31) - 1, offset: (2**63) - 2)
    running(["orders", (2**31) - 1])
    client.within_take { [message] }
    eventually { client.stored.any? }
    expect(client.stored).to eq([["orders", (2**31) - 1, (2**63) - 1]])
  end
end
