# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "whose client leaves the group" do
  # librdkafka ends the process when it meets one in a queue that it is only to call back from.
  it "goes on to the end when a message comes meanwhile" do
    expect_child_to_pass(<<~RUBY, limit: 30)
      require #{File.expand_path("../support/consumer/child", __dir__).inspect}

      # What is fetched goes where librdkafka asks for the last things.
      late = Module.new do
        def call(result, name, *arguments)
          if name == "consumer_close_queue"
            native, queue = arguments
            topic = FFI::MemoryPointer.from_string("orders")
            forwarded = super(:pointer, "queue_get_partition", native, topic, 0)
            super(:void, "queue_forward", forwarded, queue)
            main = TOPLEVEL_BINDING.receiver
            main.mock.produce_numbered("orders", 10, keys: ["key"])
            main.send(:wait_until, "late messages") { call(:size_t, "queue_length", queue) >= 10 }
          end
          super
        end
      end

      mock_topic(1)
      config = { "bootstrap.servers" => mock.bootstrap_servers, "group.id" => "specs",
                 "auto.offset.reset" => "earliest", "enable.auto.offset.store" => "false" }
      listener = Class.new { def rebalance(change) = change.carry_out }.new
      client = ConsumerHelpers.client_class.new(config, listener)
      client.subscribe(["orders"])
      wait_until("a message") { client.take(1, 10).any? }
      client.class.singleton_class.prepend(late)
      client.close
      puts "passed"
    RUBY
  end

  # docs/decisions/083: else the group waits for the end of its session.
  %w[cooperative-sticky range].each do |strategy|
    it "has told the group so when librdkafka's own last commit takes a while (#{strategy})" do
      expect_consumer_to_pass(<<~RUBY)
        mock_topic(3)
        c = mock_consumer(config: { "partition.assignment.strategy": "#{strategy}" }) { |m| worked << m.offset }
        thread = Thread.new { c.run }
        wait_until("work") { worked.size == 3 }
        mock.track
        mock.delay(:offset_commit, 300, times: 20)
        c.stop
        same(true, ended(thread).value, "run")
        same(3, committed, "committed")
        same(1, mock.requested(:leave_group), "leaves")
        passed
      RUBY
    end
  end

  # docs/decisions/082: an answer about offsets that comes after a partition went wakes it up, in librdkafka; the topic
  # goes while it asks again; and then the error in its own queue keeps it, and so all of the client, alive for ever.
  it "leaves one as it is whose threads librdkafka cannot end, and goes on" do
    expect_consumer_to_pass(<<~RUBY, limit: 30)
      client_class = ConsumerHelpers.client_class
      set_constant(client_class, :ENDING_TIME, 1)
      WorkShaper.logger = Logger.new(log)
      said = Class.new(Logger) { attr_accessor :heard; def add(*, text) = heard << text }.new(nil)
      said.heard = Queue.new
      mock.create_topic("orders", partitions: 1)
      Rdkafka::Config.logger = said
      config = { "bootstrap.servers" => mock.bootstrap_servers, "group.id" => "specs", "debug" => "topic",
                 "auto.offset.reset" => "earliest", "enable.auto.offset.store" => "false",
                 "topic.metadata.refresh.interval.ms" => "100", "topic.metadata.propagation.max.ms" => "0" }
      client = client_class.new(config, Class.new { def rebalance(change) = change.carry_out }.new)
      await = lambda do |pattern|
        wait_until(pattern) do
          client.take(1, 10)
          Array.new(said.heard.size) { said.heard.pop }.any? { |text| text.include?(pattern) }
        end
      end

      mock.delay(:list_offsets, 1000)
      client.assign({ ["orders", 0] => -2 }, incremental: false)
      await.call("offset-query -> offset-wait")
      mock.refuse_next(:list_offsets, 3)
      client.unassign(nil, incremental: false)
      await.call("outdated offset response")
      mock.slow_down(800)
      mock.lose("orders")
      await.call("sending final LEAVE")
      await.call("failed to query logical offset")
      beat = Thread.new { loop { sleep 0.01; Thread.current[:beats] = Thread.current[:beats].to_i + 1 } }
      client.close
      same(1, log.string.scan("librdkafka did not end in time").size, "told")
      check(beat[:beats].to_i > 20, "Ruby stood still")
      raised(Rdkafka::ClosedInnerError) { client.guard.with_inner { nil } }
      client.close
      GC.start
      passed
    RUBY
  end
end
