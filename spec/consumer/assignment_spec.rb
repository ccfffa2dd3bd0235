# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "in librdkafka's callbacks" do
  let(:topic_partition) { ["orders", 0] }

  # A rebalance listener that calls the block with the event and what the list has of "orders".
  def listener(&heard)
    Object.new.tap do |made|
      %i[on_partitions_assigned on_partitions_revoked].each do |event|
        made.define_singleton_method(event) { |list| heard.call(event, list.to_h["orders"]&.map(&:partition)) }
      end
    end
  end

  def running_with(listener, *topic_partitions)
    config = Rdkafka::Config.new(config_for(ConsumerHelpers::SERVERS, "specs"))
    config.consumer_rebalance_listener = listener
    fake = client # made here: the polling thread would make another
    allow(ConsumerHelpers.client_class).to receive(:new) { |*arguments| fake.connect(*arguments) }
    made_consumer(config: config, topics: "orders").tap do |consumer|
      start(consumer)
      client.assign(*topic_partitions) if topic_partitions.any?
    end
  end

  def assignment_of(consumer)
    poll_loop_of(consumer).instance_variable_get(:@assignment)
  end

  def pool_of(consumer)
    poll_loop_of(consumer).instance_variable_get(:@pool)
  end

  it "says nothing to the log" do
    replace_constant(WorkShaper.const_get(:LogWriter), :PATIENCE, 15) # the machine may stand still for a second
    inside = []
    log.define_singleton_method(:info) do |message = nil, &block|
      inside << @client_of_spec.inside if %w[Assigned Revoked].include?(message&.fetch(:message)) # polling waits for it
      super(message, &block)
    end
    log.instance_variable_set(:@client_of_spec, client)
    consumer = running(topic_partition, ["orders", 1])
    client.revoke(topic_partition)
    eventually { log.entries(/Assigned|Revoked/).size == 2 }
    expect(stop(consumer)).to be(true)
    expect(log.entries(/Assigned|Revoked/).map { |entry| entry[:partitions] })
      .to eq([%w[orders/0 orders/1], %w[orders/0], %w[orders/1]])
    expect(inside.size).to eq(3)
    expect(inside).to all(be_nil)
  end

  it "calls no listener" do
    inside = []
    curious = listener { |event, _list| inside << [event, client.inside] }
    consumer = running_with(curious, topic_partition, ["orders", 1])
    client.revoke(topic_partition)
    eventually { inside.size == 2 }
    expect(stop(consumer)).to be(true)
    expect(inside).to eq([[:on_partitions_assigned, nil], [:on_partitions_revoked, nil], [:on_partitions_revoked, nil]])
  end

  it "tells the log and the listener while it runs, not only when something more comes" do
    heard = []
    consumer = running_with(listener { |*call| heard << call }, topic_partition)
    eventually { heard == [[:on_partitions_assigned, [0]]] && log.entries(/Assigned/).size == 1 }
    client.revoke(topic_partition)
    eventually { heard.last == [:on_partitions_revoked, [0]] && log.entries(/Revoked/).size == 1 }
    expect(thread_of(consumer)).to be_alive
  end

  describe "while it is being closed" do
    it "ignores partitions that come then" do
      heard = []
      consumer = running_with(listener { |*call| heard << call }, topic_partition)
      client.on_close = -> { client.assign_now(["orders", 1]) }
      expect(stop(consumer)).to be(true)
      expect(log.entries(/Assigned/).map { |entry| entry[:partitions] }).to eq([%w[orders/0]])
      expect(consumer.stats[:assignment]).to be_empty
      expect(heard.count { |event, _list| event == :on_partitions_assigned }).to eq(1)
    end

    it "ignores them even when they come instead of those that were there" do
      client.replacing = true
      consumer = running(topic_partition)
      client.on_close = -> { client.assign_now(topic_partition, ["orders", 1]) }
      expect(stop(consumer)).to be(true)
      expect(log.entries(/Assigned/).size).to eq(1)
      expect(log.entries(/Revoked/).size).to eq(1)
      expect(consumer.stats[:assignment]).to be_empty
    end

    it "ignores them when it never had any" do
      consumer = running
      eventually { client.takes.positive? }
      client.on_close = -> { client.assign_now(topic_partition) }
      expect(stop(consumer)).to be(true)
      expect(log.entries(/Assigned|Revoked/)).to be_empty
      expect(consumer.stats[:assignment]).to be_empty
    end
  end

  describe "with an exception that is not a StandardError" do
    def expect_end_with_no_memory(consumer)
      expect(failure_of(consumer)).to be_a(NoMemoryError).and have_attributes(message: "none left")
      expect(client).to be_closed
      expect(consumer).not_to be_healthy
    end

    it "ends run with it when a hook for partitions that go raises it" do
      consumer = running(topic_partition)
      assignment_of(consumer).on_revoked { raise NoMemoryError, "none left" }
      client.revoke(topic_partition)
      expect_end_with_no_memory(consumer)
    end

    it "carries the change out all the same: librdkafka would wait for ever, while it is closed, too" do
      consumer = running(topic_partition)
      allow(pool_of(consumer)).to receive(:revoke).and_raise(NoMemoryError, "none left")
      change = client.ask_for(topic_partition)
      expect_end_with_no_memory(consumer)
      expect(change).to be_carried_out
    end

    it "ends run with it when the pool raises it" do
      consumer = running(topic_partition)
      allow(pool_of(consumer)).to receive(:revoke).and_raise(NoMemoryError, "none left")
      client.lose(topic_partition)
      expect_end_with_no_memory(consumer)
    end

    { "stop" => "c.stop", "failure" => 'client.revoke(["orders", 1])' }.each do |why, ending|
      it "ends run with it even when it comes while the group is left after a #{why}, and leaves no threads" do
        expect_consumer_to_pass(<<~RUBY)
          client.produce("orders", 0, "a", "b")
          c = fake_consumer { |m| worked << m.offset }
          assign_later(["orders", 0], ["orders", 1])
          Thread.report_on_exception = false
          Thread.new do
            wait_until("worked") { client.offset_of("orders", 0) == 2 }
            pool = c.instance_variable_get(:@poll_loop).instance_variable_get(:@pool)
            pool.define_singleton_method(:revoke) { |_name| raise NoMemoryError, "none left" }
            #{ending}
          end
          same("none left", raised(NoMemoryError) { c.run }.message, "error")
          check(client.closed?, "left the group")
          same([], client.misuse, "misuse")
          no_threads_left
          passed
        RUBY
      end
    end

    it "ends run with it when partitions that come cause it" do
      consumer = running
      eventually { client.takes.positive? }
      change = Object.new
      change.define_singleton_method(:lost?) { raise NoMemoryError, "none left" }
      client.within_take { client.listener.rebalance(change) }
      expect_end_with_no_memory(consumer)
    end
  end

  # A logger that starts a thread when it is first called. Were that deaf, the process would never end.
  { "with a client of our own" => <<~FAKE, "on the mock cluster" => <<~MOCK }.each do |how, consumer|
    client.produce("orders", 0, *%w[key] * 10)
    c = fake_consumer { |m| worked << m.offset }
    assign_later(["orders", 0])
  FAKE
    mock_topic(10)
    c = mock_consumer { |m| worked << m.offset }
  MOCK
    it "leaves threads that a logger starts able to end, #{how}" do
      expect_consumer_to_pass(<<~RUBY)
        lazy = Class.new do
          attr_reader :thread, :lines

          def initialize
            @queue, @lines = Queue.new, Queue.new
          end

          %i[debug info warn error].each do |level|
            define_method(level) do |message = nil, &block|
              @thread ||= Thread.new { loop { @lines << @queue.pop } }
              @queue << (message || block.call)
              true
            end
          end
        end.new
        WorkShaper.logger = lazy
        #{consumer}
        Thread.new { wait_until("worked") { worked.size == 10 }; c.stop }
        same(true, c.run, "run")
        same("Starting", lazy.lines.pop[:message], "the first line")
        lazy.thread.kill
        ended(lazy.thread)
        mock.close if @mock
        passed
      RUBY
    end
  end

  it "leaves threads that a listener starts able to end" do
    expect_consumer_to_pass(<<~RUBY)
      heard = Queue.new
      listener = Object.new
      listener.define_singleton_method(:on_partitions_assigned) { |_list| heard << Thread.new { sleep } }
      listener.define_singleton_method(:on_partitions_revoked) { |_list| heard << Thread.new { sleep } }
      fake = client
      WorkShaper::Consumer.const_get(:Client).define_singleton_method(:new) { |*arguments| fake.connect(*arguments) }
      config = Rdkafka::Config.new("bootstrap.servers": ConsumerChild::SERVERS, "group.id": "specs")
      config.consumer_rebalance_listener = listener
      c = WorkShaper::Consumer.new(config: config, topics: "orders") { |_message| nil }
      assign_later(["orders", 0])
      Thread.new { wait_until("told") { heard.size == 1 }; c.stop }
      same(true, c.run, "run")
      same(2, heard.size, "threads")
      2.times { ended(heard.pop.tap(&:kill)) }
      passed
    RUBY
  end

  it "and elsewhere has a polling thread that can be interrupted and has no priority, whoever calls run" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a")
      c = fake_consumer(signals: false) { |m| worked << m.offset }
      thread = Thread.new do
        Thread.current.priority = 2
        Thread.handle_interrupt(Object => :never) { c.run }
      end
      thread.report_on_exception = false
      client.assign(["orders", 0])
      wait_until("worked") { client.offset_of("orders", 0) == 1 }
      polling = threads_named("work_shaper intake").first
      same(0, polling.priority, "priority")
      polling.raise(IOError, "reached")
      same("reached", raised(IOError) { ended(thread).value }.message, "error")
      check(client.closed?, "left the group")
      same([], client.misuse, "misuse")
      passed
    RUBY
  end
end
