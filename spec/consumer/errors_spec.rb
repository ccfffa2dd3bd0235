# frozen_string_literal: true

require "socket"
require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "errors of librdkafka" do
  let(:topic_partition) { ["orders", 0] }
  let(:fatal) { -150 }
  let(:transport) { -195 }
  let(:unknown_topic) { 3 }

  it "that are fatal end run with them, and it leaves the group" do
    consumer = running(topic_partition)
    client.fail_with(fatal, "fenced by another instance")
    expect(failure_of(consumer)).to be_a(Rdkafka::RdkafkaError)
      .and have_attributes(code: :fatal, message: /fenced by another instance/)
    expect(client).to be_closed
    expect(consumer).not_to be_healthy
  end

  it "that are not fatal are logged and counted, and otherwise have no effect" do
    done = []
    consumer = running(topic_partition) { |message| done << message.payload }
    client.fail_with(transport, "1 of 1 brokers down")
    client.fail_with(29, "not allowed", "orders")
    client.produce("orders", 0, "a")
    eventually { done == %w[a:0] }
    expect(consumer.stats[:errors]).to eq(2)
    lines = eventually { log.messages("WARN").then { |all| all if all.size == 2 } }
    expect(lines.map(&:to_s)).to match([/brokers down/, /not allowed/])
    expect(lines.last).to include(topic: "orders")
    expect(stop(consumer)).to be(true)
  end

  it "may have no text, and be of an unknown kind" do
    consumer = running(topic_partition)
    client.fail_with(transport, nil)
    client.fail_with(31_999, nil)
    eventually { consumer.stats[:errors] == 2 }
    expect(consumer).to be_healthy
  end

  it "that say at the start that a topic is not there end run, naming it" do
    consumer = running
    client.fail_with(unknown_topic, "Subscribed topic not available: orders", "orders")
    expect(failure_of(consumer)).to be_a(WorkShaper::Error)
      .and have_attributes(message: /"orders" does not exist at #{ConsumerHelpers::SERVERS}/)
    expect(client).to be_closed
  end

  it "that say so later have no effect: it may come back" do
    consumer = running(topic_partition)
    client.fail_with(unknown_topic, "gone", "orders")
    eventually { consumer.stats[:errors] == 1 }
    expect(consumer).to be_healthy
  end

  it "that say so of a topic which may appear by itself have no effect" do
    consumer = running(config: { "allow.auto.create.topics": true })
    client.fail_with(unknown_topic, "not yet", "orders")
    eventually { consumer.stats[:errors] == 1 }
    expect(consumer).to be_healthy
  end

  it "that say so of a topic which only matched a pattern have no effect" do
    consumer = running(topics: "^orders-.*")
    client.fail_with(unknown_topic, "gone", "orders-7")
    eventually { consumer.stats[:errors] == 1 }
    expect(consumer).to be_healthy
  end

  it "on joining end run with them" do
    consumer = fake_consumer
    client.define_singleton_method(:subscribe) { |_topics| raise Rdkafka::RdkafkaError, -186 }
    start(consumer)
    expect(failure_of(consumer)).to have_attributes(code: :invalid_arg)
    expect(client).to be_closed
  end

  it "on making the client end run with them, and leave no thread" do
    consumer = fake_consumer
    allow(ConsumerHelpers.client_class).to receive(:new).and_raise(Rdkafka::Config::ClientCreationError, "bad mixture")
    start(consumer)
    expect(failure_of(consumer)).to be_a(Rdkafka::Config::ClientCreationError)
    eventually { log.entries(/Shutting Down/).any? && manager_threads.empty? }
  end

  # Each is fine by itself, so that only the client that is made of them can tell.
  it "on settings that do not go together end run with librdkafka's words" do
    consumer = mock_consumer("orders", config: { "session.timeout.ms": 9_000, "max.poll.interval.ms": 8_000 })
    start(consumer)
    expect(failure_of(consumer).message).to include("max.poll.interval.ms")
    eventually { log.entries(/Shutting Down/).any? } # by a thread that has no name yet, in the log of this example
  end

  it "out of a pause end run with them" do
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, 0.01)
    gate = self.gate
    consumer = running(topic_partition, max_in_flight: 1) { gate.pass }
    client.define_singleton_method(:pause) { |_places| raise Rdkafka::RdkafkaError, -172 }
    client.produce("orders", 0, "a", "b")
    expect(failure_of(consumer)).to be_a(Rdkafka::RdkafkaError)
    expect(client).to be_closed
  end

  describe "at the start" do
    # A port where nobody listens, or somebody who does not speak Kafka.
    def failure_at(port, **config)
      consumer = made_consumer(config: config_for("127.0.0.1:#{port}", "specs").merge(config), topics: "orders")
      began = ManagerHelpers.now
      start(consumer)
      failure_of(consumer).tap do
        expect(ManagerHelpers.now - began).to be < 5
        expect(consumer.stats[:assignment]).to be_empty
      end
    end

    it "are reported as soon as librdkafka knows that nobody listens, with the reason" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      expect(failure_at(port)).to be_a(WorkShaper::NoBroker)
        .and have_attributes(message: /127\.0\.0\.1:#{port}: .*refused/)
    end

    it "are reported as soon as librdkafka knows that the broker speaks no TLS" do
      TCPServer.open("127.0.0.1", 0) do |server|
        in_thread { loop { server.accept.tap { |socket| socket.write("no TLS here\n") } } }
        expect(failure_at(server.addr[1], "security.protocol": "ssl"))
          .to be_a(WorkShaper::NoBroker).and have_attributes(message: /SSL/)
      end
    end

    it "are reported when no broker answers within start_timeout" do
      TCPServer.open("127.0.0.1", 0) do |server|
        consumer = made_consumer(config: config_for("127.0.0.1:#{server.addr[1]}", "specs"), topics: "orders",
                                 start_timeout: 0.3)
        start(consumer)
        expect(failure_of(consumer)).to be_a(WorkShaper::NoBroker)
          .and have_attributes(message: /no broker answered at 127\.0\.0\.1:#{server.addr[1]} within 0.3 s/)
      end
    end

    it "do not keep a stop waiting when no broker answers" do
      client.answered = false
      consumer = running
      eventually { client.calls.include?(:reachable) }
      began = ManagerHelpers.now
      expect(stop(consumer)).to be(true)
      expect(ManagerHelpers.now - began).to be < 5
      expect(client).to be_closed
    end

    it "may be over soon: a broker that comes up in time is enough" do
      client.answered = false
      consumer = running
      eventually { client.calls.include?(:reachable) }
      client.answered = true
      client.assign(topic_partition)
      eventually { consumer.stats[:assignment].any? }
      expect(consumer.stats[:assignment]).to eq(%w[orders/0])
    end
  end

  describe "on the mock cluster" do
    it "report a topic that does not exist" do
      topic = "topic-#{ConsumerHelpers::MockCluster.unique}"
      consumer = mock_consumer([mock_topic, topic]) # partitions may come just when it leaves
      start(consumer)
      expect(failure_of(consumer)).to be_a(WorkShaper::Error).and have_attributes(message: /#{topic}.* does not exist/)
    end

    it "do not end it when the topic may appear by itself, and does" do
      topic = "topic-#{ConsumerHelpers::MockCluster.unique}"
      config = { "allow.auto.create.topics": true, "topic.metadata.refresh.interval.ms": 100 }
      done = []
      consumer = mock_consumer(topic, config: config) { |message| done << message.payload }
      start(consumer)
      eventually { consumer.stats[:errors]&.positive? }
      mock.produce_numbered(topic, 2)
      eventually { done == %w[0 1] }
      expect(consumer).to be_healthy
    end

    it "report an invalid pattern" do
      consumer = mock_consumer("^orders-(")
      start(consumer)
      expect(failure_of(consumer)).to be_a(Rdkafka::RdkafkaError)
    end

    it "are logged and counted when a fetch is refused" do
      topic = mock_topic
      mock.refuse(:fetch, *([29] * 200)) # other clients may ask, too
      consumer = mock_consumer(topic)
      start(consumer)
      eventually { consumer.stats[:errors]&.positive? && log.messages("WARN").any? }
      expect(log.messages("WARN").first).to include(topic: topic, error: include("authorization"))
      expect(stop(consumer)).to be(true)
    ensure
      mock.forgive(:fetch)
    end

    it "do not end it when the broker goes: it continues when the broker is back" do
      topic = mock_topic
      done = []
      config = { "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50,
                 "socket.connection.setup.timeout.ms": 1_000, "session.timeout.ms": 10_000 }
      consumer = mock_consumer(topic, config: config) { |message| done << message.payload }
      start(consumer)
      eventually { consumer.stats[:assignment]&.any? }
      mock.down
      turned_at = poll_loop_of(consumer).turned_at
      eventually { poll_loop_of(consumer).turned_at > turned_at + 0.5 }
      mock.up
      mock.produce_numbered(topic, 5)
      eventually { done.size == 5 }
      expect(stop(consumer)).to be(true)
      expect(mock.committed(group, topic)).to eq(0 => 5)
    ensure
      mock.up
    end
  end
end
