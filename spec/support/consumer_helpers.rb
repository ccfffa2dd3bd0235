# frozen_string_literal: true

require_relative "manager_helpers" # whose cleaning up is to come after ours

# What the specs of WorkShaper::Consumer share: consumers on a client of the example's own (FakeClient) or on
# librdkafka's mock cluster in this process, each running on a thread and stopped after the example.
module ConsumerHelpers
  DEADLINE = ManagerHelpers::DEADLINE
  SERVERS = "127.0.0.1:9"

  CHILD = File.join(__dir__, "consumer", "child.rb")

  # They load rdkafka, which the other specs do without.
  autoload :FakeClient, File.join(__dir__, "consumer", "fake_client")
  autoload :MockCluster, File.join(__dir__, "consumer", "mock_cluster")

  # A private constant of the Consumer.
  def self.inner(name)
    require "work_shaper/consumer"
    WorkShaper::Consumer.const_get(name)
  end

  def self.client_class
    inner(:Client)
  end

  def inner(name)
    ConsumerHelpers.inner(name)
  end

  # A constant of one of them has another value for the rest of the example.
  def replace_constant(owner, name, value)
    (@constants ||= []) << [owner, name, owner.const_get(name)]
    set_constant(owner, name, value)
  end

  def client
    once(:@client) { FakeClient.new }
  end

  # A consumer on a FakeClient. Not taking signals and without a heartbeat, unless told otherwise.
  def fake_consumer(client: self.client, config: {}, topics: "orders", **options, &work)
    allow(ConsumerHelpers.client_class).to receive(:new) { |*arguments| client.connect(*arguments) }
    made_consumer(config: config_for(SERVERS, "specs").merge(config), topics: topics, **options, &work)
  end

  # A consumer on the mock cluster; `group` is one of the example's own unless named.
  def mock_consumer(topics, config: {}, group: self.group, **options, &work)
    made_consumer(config: mock_config(group).merge(config), topics: topics, **options, &work)
  end

  def mock
    MockCluster.shared
  end

  # One group per example.
  def group
    once(:@group) { "group-#{MockCluster.unique}" }
  end

  # A topic of the mock cluster that nobody else uses.
  def mock_topic(partitions: 1)
    "topic-#{MockCluster.unique}".tap { |name| mock.create_topic(name, partitions: partitions) }
  end

  def mock_config(group)
    config_for(mock.bootstrap_servers, group)
      .merge("session.timeout.ms": 1500, "heartbeat.interval.ms": 100,
             "partition.assignment.strategy": "cooperative-sticky")
  end

  def config_for(servers, group)
    { "bootstrap.servers": servers, "group.id": group }
  end

  # As expect_child_to_pass; the script finds what is in consumer/child.rb, too.
  def expect_consumer_to_pass(script, **options)
    expect_child_to_pass("require #{CHILD.inspect}\n#{script}", **options)
  end

  # Runs it on a thread and returns that. Ended after the example at the latest.
  def start(consumer)
    @threads_before_consumers ||= manager_threads
    thread = in_thread { consumer.run }
    (@running ||= []) << [consumer, thread]
    thread
  end

  # What run returns, or raises.
  def stop(consumer)
    consumer.stop
    value_of(thread_of(consumer))
  end

  # What run raises, by itself.
  def failure_of(consumer)
    value_of(thread_of(consumer))
    RSpec::Expectations.fail_with("run returned instead of raising")
  rescue RSpec::Expectations::ExpectationNotMetError
    raise
  rescue Exception => e # rubocop:disable Lint/RescueException
    e
  end

  def thread_of(consumer)
    @running.assoc(consumer).last
  end

  def poll_loop_of(consumer)
    consumer.instance_variable_get(:@poll_loop)
  end

  # A fake consumer that runs and has its partitions.
  def running(*topic_partitions, **options, &work)
    fake_consumer(**options, &work).tap do |consumer|
      start(consumer)
      (options[:client] || client).assign(*topic_partitions) if topic_partitions.any?
    end
  end

  # One for which a failure is the end of the matter.
  def skipping(*topic_partitions, **options, &work)
    running(*topic_partitions, attempts: 1, give_up: :skip, **options, &work)
  end

  # The poll loop has turned so many times more: whatever it was to see by then, it has seen.
  def turns(count = 2, client: self.client)
    enough = client.takes + (2 * count)
    eventually("the poll loop does not turn") do
      client.interrupt
      client.takes >= enough
    end
  end

  # The lookout has begun so many rounds more: what brokers were to be asked before, they have been, and answered.
  def rounds(count = 3)
    enough = client.queries.rounds + count
    eventually("Kafka is not asked") { client.queries.rounds >= enough }
  end

  # How each consumer of the example is: what ended it, or its numbers.
  def circumstances
    @running&.map do |consumer, thread|
      state = thread.alive? ? consumer.stats.except(:rates, :durations) : "ended"
      begin
        thread.join(0)
      rescue Exception => e # rubocop:disable Lint/RescueException
        state = e.full_message(highlight: false)
      end
      "\n#{state}"
    end&.join
  end

  def clean_up_consumers
    @gates&.each(&:open)
    end_consumers if @running
    expect(client.misuse.uniq).to be_empty if @client
  ensure
    @constants&.reverse_each { |constant| set_constant(*constant) }
  end

  private

  def end_consumers
    @running.each { |row| 2.times { row.first.stop } }
    eventually("run never returned") { @running.map(&:last).none?(&:alive?) }
    eventually(-> { "threads are left: #{manager_threads}" }) { (manager_threads - @threads_before_consumers).empty? }
  end

  def made_consumer(signals: false, heartbeat_period_sec: nil, **options, &work)
    log
    Rdkafka::Config.logger = Logger.new(File::NULL)
    WorkShaper::Consumer.new(signals: signals, heartbeat_period_sec: heartbeat_period_sec, **options,
                             &work || ->(_message) {})
  end

  def set_constant(owner, name, value)
    owner.send(:remove_const, name) # rubocop:disable RSpec/RemoveConst -- stub_const knows no private ones
    owner.const_set(name, value)
  end
end

RSpec.configure do |config|
  in_consumer = { file_path: %r{spec/consumer/} }
  config.include ConsumerHelpers, in_consumer
  config.after(:each, in_consumer) { clean_up_consumers }
  config.after(:suite) { ConsumerHelpers::MockCluster.close_shared if ConsumerHelpers.autoload?(:MockCluster).nil? }
end
