# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "when work fails" do
  let(:topic_partition) { ["orders", 3] }
  let(:done) { [] }
  let(:errors) { [] }
  let(:on_error) do
    ->(error, message, partition, offset) { errors << [error.message, message.payload, partition, offset] }
  end

  def failing(message)
    raise "broken #{message.payload}" if message.key == "bad"

    done << message.payload
  end

  it "tells on_error of the error, the message, its partition's number and its offset; the offset is finished" do
    consumer = skipping(topic_partition, on_error: on_error) { |message| failing(message) }
    client.produce("orders", 3, "a", "bad", "bad", "a")
    eventually { client.offset_of(*topic_partition) == 4 }
    expect(errors).to eq([["broken bad:1", "bad:1", 3, 1], ["broken bad:2", "bad:2", 3, 2]])
    expect(done).to eq(%w[a:0 a:3])
    expect(consumer.stats[:total_failed]).to eq(2)
    expect(stop(consumer)).to be(true)
  end

  it "logs it without on_error" do
    skipping(topic_partition) { |message| failing(message) }
    client.produce("orders", 3, "bad")
    eventually { client.offset_of(*topic_partition) == 1 }
    expect(log.messages("ERROR").to_s).to include("broken bad:0", "orders/3")
  end

  it "logs that a message was skipped, even if on_error was told of its error" do
    skipping(topic_partition, on_error: on_error) { |message| failing(message) }
    client.produce("orders", 3, "bad")
    eventually { client.offset_of(*topic_partition) == 1 }
    expect(log.entries(/Skipped/, "ERROR")).to match([include(offset: "orders/3:0", attempts: 1)])
  end

  it "logs what on_error raises, and goes on" do
    skipping(topic_partition, on_error: ->(*) { raise "on_error is broken" }) { |message| failing(message) }
    client.produce("orders", 3, "bad", "a")
    eventually { client.offset_of(*topic_partition) == 2 }
    expect(log.messages("ERROR").to_s).to include("on_error is broken")
  end

  it "treats a throw that nobody catches as an error" do
    skipping(topic_partition, on_error: on_error) { throw :nobody }
    client.produce("orders", 3, "a")
    eventually { client.offset_of(*topic_partition) == 1 }
    expect(errors.first.first).to include("uncaught throw")
  end

  it "goes on after break, next and return in the block as with any that ends" do
    consumer = running(topic_partition, on_error: on_error) do |message|
      message.key == "a" ? next : done << message.payload
    end
    client.produce("orders", 3, "a", "b")
    eventually { client.offset_of(*topic_partition) == 2 }
    expect(stop(consumer)).to be(true)
  end

  describe "fatally" do
    around { |example| without_thread_reports { example.run } }

    # Others run and wait; one ends the consumer.
    def end_with(keys: %w[a b c], &ending)
      gate = self.gate
      consumer = running(topic_partition, ["orders", 4]) do |message|
        ending.call if message.key == "end"
        gate.pass if message.key == "slow"
        done << message.payload
      end
      client.produce("orders", 3, *keys)
      client.produce("orders", 4, "slow")
      eventually { gate.waiting == 1 && done.size == keys.size }
      client.produce("orders", 3, "end", "d")
      eventually { poll_loop_of(consumer).instance_variable_get(:@pool).shutting_down? }
      expect(thread_of(consumer)).to be_alive
      gate.open
      failure_of(consumer)
    end

    def expect_the_rest_to_be_committed
      expect(client).to be_closed
      expect(client.committed).to eq(topic_partition => 3, ["orders", 4] => 1)
    end

    it "ends run with a NoMemoryError; all else that ran is finished and committed" do
      expect(end_with { raise NoMemoryError, "no memory" }).to be_a(NoMemoryError)
      expect_the_rest_to_be_committed
    end

    it "ends run when a worker is killed, and says which message it was" do
      error = end_with { Thread.current.kill }
      expect(error).to be_a(WorkShaper::Error)
      expect(error.message).to match(%r{orders/3.* 3 .*killed})
      expect_the_rest_to_be_committed
    end

    it "raises what ended it, also when messages come in at that moment, and commits what else ran" do
      gate = self.gate
      consumer = running(topic_partition, ["orders", 4]) do |message|
        raise NoMemoryError, "no memory" if message.key == "end"

        gate.pass if message.key == "slow"
      end
      client.produce("orders", 4, "slow")
      eventually { gate.waiting == 1 }
      pool = poll_loop_of(consumer).instance_variable_get(:@pool)
      client.on_take = lambda do |messages|
        sleep ManagerHelpers::POLL_SEC until messages.map(&:key).include?("end") || pool.shutting_down?
      end
      client.within_take { client.produce("orders", 3, "end") }
      client.produce("orders", 3, "later")
      eventually { pool.shutting_down? }
      gate.open
      expect(failure_of(consumer)).to be_a(NoMemoryError)
      expect(client.committed).to eq(["orders", 4] => 1)
    end

    it "says so when the polling thread is killed" do
      consumer = running(topic_partition)
      poll_loop_of(consumer).instance_variable_get(:@thread).kill
      expect(failure_of(consumer)).to be_a(WorkShaper::Error).and have_attributes(message: /killed/)
      expect(client).to be_closed
    end
  end

  it "is not cut off in the middle of a call into librdkafka, whatever comes to the polling thread" do
    gate = self.gate
    consumer = running(topic_partition)
    calls = []
    hanging = in_thread { client.within_take { calls << gate.pass << :ended } }
    eventually { gate.waiting == 1 }
    poll_loop_of(consumer).instance_variable_get(:@thread).raise(IOError, "from outside")
    expect(client).not_to be_closed
    gate.open
    value_of(hanging)
    expect(calls).to include(:ended)
    expect(failure_of(consumer)).to be_a(IOError)
    expect(client).to be_closed
  end

  it "goes on with a logger that raises" do
    broken = Logger.new(File::NULL)
    %i[info warn error].each { |level| broken.define_singleton_method(level) { |*| raise IOError, "closed stream" } }
    consumer = fake_consumer(attempts: 1, give_up: :skip) { |message| failing(message) }
    WorkShaper.logger = broken
    start(consumer)
    client.assign(topic_partition)
    client.produce("orders", 3, "a", "bad")
    client.fail_with(-195, "broker transport failure")
    client.revoke(topic_partition)
    client.assign(topic_partition)
    eventually { client.offset_of(*topic_partition) == 2 }
    expect(stop(consumer)).to be(true)
  end

  it "ends the process when work calls exit, as it would elsewhere, and leaves the group" do
    expect_consumer_to_pass(<<~RUBY)
      client.produce("orders", 0, "a", "end", "b")
      c = fake_consumer { |m| m.key == "end" ? exit(7) : worked << m.payload }
      assign_later(["orders", 0])
      error = raised(SystemExit) { c.run }
      same(7, error.status, "status")
      check(client.closed?, "left the group")
      same([1], client.committed.values, "committed")
      passed
    RUBY
  end

  describe "with around" do
    it "calls it with each message and does the work where it yields" do
      seen = []
      around = lambda do |message, &work|
        seen << [:before, message.payload]
        work.call
        seen << [:after, message.payload]
      end
      running(topic_partition, around: around) { |message| seen << [:work, message.payload] }
      client.produce("orders", 3, "a", "a")
      eventually { client.offset_of(*topic_partition) == 2 }
      expect(seen).to eq(%w[a:0 a:1].flat_map { |payload| [[:before, payload], [:work, payload], [:after, payload]] })
    end
  end

  # What is there is in spec/frameworks/rails_spec.rb.
  describe "with Rails" do
    it "does without when there is no application" do
      [Module.new, Module.new { def self.application; end }].each do |rails|
        @client = nil
        stub_const("Rails", rails)
        consumer = running(topic_partition) { |message| done << message.payload }
        client.produce("orders", 3, "a")
        eventually { client.offset_of(*topic_partition) == 1 }
        expect(stop(consumer)).to be(true)
      end
    end
  end
end
