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
end
