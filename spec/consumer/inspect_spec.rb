# frozen_string_literal: true

require "pp"
require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "#inspect" do
  let(:config) { { "sasl.username": "user-word", "sasl.password": "pass-word" } }

  it "shows the topics, the group and whether it runs" do
    consumer = fake_consumer(topics: %w[orders ^pay.*])
    idle = '#<WorkShaper::Consumer orders, ^pay.* as "specs">'
    expect(consumer.inspect).to eq(idle)
    start(consumer)
    eventually { client.takes.positive? }
    expect(consumer.inspect).to eq('#<WorkShaper::Consumer orders, ^pay.* as "specs", running>')
    stop(consumer)
    expect(consumer.inspect).to eq(idle)
  end

  it "shows nothing of the config, in whatever way it is asked" do
    consumer = fake_consumer(config: config)
    start(consumer)
    eventually { client.takes.positive? }
    options = consumer.instance_variable_get(:@options)
    shown = [consumer, options].flat_map { |object| [object.inspect, object.pretty_inspect, [object].inspect] }
    shown << begin
      consumer.no_such_method
    rescue NoMethodError => e
      e.message
    end
    expect(shown.join).not_to match(/user-word|pass-word/)
  end

  it "can be asked in a forked child", if: Process.respond_to?(:fork) do
    expect_consumer_to_pass(<<~RUBY)
      c = fake_consumer(signals: false) { |_message| nil }
      thread = Thread.new { c.run }
      wait_until("runs") { client.takes.positive? }
      pid = fork do
        same('#<WorkShaper::Consumer orders as "specs">', c.inspect, "inspect in the child")
        check(!c.healthy?, "does not run in the child")
        exit!(0)
      end
      check(child_status(pid).success?, "the child")
      c.stop
      ended(thread)
      passed
    RUBY
  end
end
