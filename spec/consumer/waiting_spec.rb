# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "that a group keeps waiting" do
  let(:topic_partition) { ["orders", 0] }
  let(:fatal) { -150 }

  def told
    log.entries(/\AWaiting for/)
  end

  describe "without partitions" do
    before { replace_constant(inner(:Waiting), :TOLD_AFTER, 0.05) }

    it "says so once" do
      consumer = running
      eventually { told.any? }
      turns(5)
      expect(told).to match([include(group: "specs", waited_sec: Integer)])
      expect(consumer).to be_healthy
    end

    it "says nothing when they came in time" do
      replace_constant(inner(:Waiting), :TOLD_AFTER, 600)
      waiting = poll_loop_of(running(topic_partition)).instance_variable_get(:@waiting)
      waiting.instance_variable_set(:@began, ManagerHelpers.now - 601)
      eventually { waiting.instance_variable_get(:@told) }
      expect(told).to be_empty
    end
  end

  describe "whose instance id is still used" do
    let(:clients) { Array.new(3) { ConsumerHelpers::FakeClient.new } }
    let(:config) { { "group.protocol": "consumer", "group.instance.id": "pod-1" } }

    before { replace_constant(inner(:Waiting), :RETRY_WAIT, 0.01) }

    # Each client that it makes, the last one again and again.
    def begun(**config)
      consumer = fake_consumer(config: { **self.config, **config })
      left = clients.dup
      allow(ConsumerHelpers.client_class).to receive(:new) do |*arguments|
        (left.size > 1 ? left.shift : left.first).connect(*arguments)
      end
      start(consumer)
      consumer
    end

    def refuse(client, reason = :unreleased_instance_id)
      client.fatal_reason = reason
      client.fail_with(fatal, "The instance ID is still used")
    end

    it "tries again with other clients, says so once, and works" do
      consumer = begun
      clients.first(2).each { |client| refuse(client) }
      clients.last.produce("orders", 0, "a", "b")
      clients.last.assign(topic_partition)
      eventually { clients.last.offset_of("orders", 0) == 2 }
      expect(clients.map(&:closed?)).to eq([true, true, false])
      expect(told).to match([include(instance: "pod-1", limit_sec: 50)])
      eventually { consumer.stats[:kafka][:reachable] && consumer.stats[:partitions]["orders/0"][:end] == 2 }
      expect(stop(consumer)).to be(true)
      expect(clients.flat_map(&:misuse)).to be_empty
    end

    it "raises what librdkafka said once the session must be over" do
      replace_constant(inner(:Waiting), :MARGIN, 0)
      clients.last.tap { |client| client.fatal_reason = :unreleased_instance_id }
      clients.replace([clients.last])
      allow(clients.last).to receive(:take) do
        clients.last.failures << ConsumerHelpers.client_class::Failure.new(fatal, "The instance ID is still used")
        []
      end
      consumer = begun("session.timeout.ms": 300)
      expect(failure_of(consumer)).to have_attributes(code: :fatal, message: /still used/)
      expect(told).to match([include(limit_sec: 0.3)])
    end

    it "ends when it is stopped meanwhile" do
      replace_constant(inner(:Waiting), :RETRY_WAIT, 60)
      consumer = begun
      refuse(clients.first)
      eventually { clients.first.closed? && thread_of(consumer).alive? && told.any? }
      began = ManagerHelpers.now
      expect(stop(consumer)).to be(true)
      expect(ManagerHelpers.now - began).to be < 5
    end

    it "does not try again after it had partitions: somebody else has taken its id" do
      consumer = begun
      clients.first.assign(topic_partition)
      refuse(clients.first)
      expect(failure_of(consumer)).to have_attributes(code: :fatal)
      expect(told).to be_empty
    end

    it "does not try again after another fatal error" do
      consumer = begun
      refuse(clients.first, :fenced_instance_id)
      expect(failure_of(consumer)).to have_attributes(code: :fatal)
    end
  end
end
