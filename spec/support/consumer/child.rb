# frozen_string_literal: true

# What the scripts of subprocess.rb find beside the helpers of child.rb when they deal with consumers. To be required by
# the script.
require "monitor"
require "work_shaper/consumer"

# The client of consumer_helpers.rb wants to know these.
module ManagerHelpers
  DEADLINE = 10
  POLL_SEC = 0.001
  MAKING = Monitor.new

  def self.now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

module ConsumerHelpers
  def self.inner(name)
    WorkShaper::Consumer.const_get(name)
  end

  def self.client_class
    inner(:Client)
  end
end

require_relative "../../../support/kafka/deaf_listener"
require_relative "fake_client"
require_relative "mock_cluster"

# On the main object of such a script.
module ConsumerChild
  SERVERS = "127.0.0.1:9"

  def client
    ManagerHelpers::MAKING.synchronize { @client ||= ConsumerHelpers::FakeClient.new }
  end

  def fake_consumer(**options, &work)
    fake = client
    ConsumerHelpers.client_class.define_singleton_method(:new) { |*arguments| fake.connect(*arguments) }
    WorkShaper::Consumer.new(config: { "bootstrap.servers": SERVERS, "group.id": "specs" }, topics: "orders", **options,
                             &work)
  end

  # The partitions come as soon as the consumer takes messages.
  def assign_later(*topic_partitions)
    Thread.new { client.assign(*topic_partitions) }
  end

  def mock
    ManagerHelpers::MAKING.synchronize { @mock ||= ConsumerHelpers::MockCluster.new }
  end

  # Made before the consumer, for it is closed when nobody uses it any more.
  def mock_topic(count, keys: ["key"])
    mock.create_topic("orders", partitions: 1)
    mock.produce_numbered("orders", count, keys: keys)
  end

  def mock_consumer(servers: mock.bootstrap_servers, config: {}, **options, &work)
    config = { "bootstrap.servers": servers, "group.id": "specs", "auto.offset.reset": "earliest",
               "session.timeout.ms": 1000, "heartbeat.interval.ms": 100, **config }
    WorkShaper::Consumer.new(config: config, topics: "orders", **options, &work)
  end

  def committed
    mock.committed("specs", "orders")[0]
  end

  def no_threads_left
    wait_until("no thread left") { threads_named("work_shaper").empty? }
  end
end

TOPLEVEL_BINDING.receiver.extend(ConsumerChild)
