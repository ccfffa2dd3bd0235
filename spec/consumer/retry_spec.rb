# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "with attempts" do
  let(:topic_partition) { ["orders", 3] }
  let(:done) { [] }

  # Fails so many times for each key.
  def failing(times)
    left = times.dup
    lambda do |message|
      if left[message.key].to_i.positive?
        left[message.key] -= 1
        raise IOError, "broken #{message.payload}"
      end
      done << [message.payload, message.attempt, message.retry?]
    end
  end

  it "tries for ever unless told otherwise; the offset waits, other keys go on" do
    consumer = running(topic_partition, wait: 0.05, jitter: 0, on_error: ->(*) {}, &failing({ "bad" => 4 }))
    client.produce("orders", 3, "a", "bad", "bad", "b")
    eventually { client.offset_of(*topic_partition) == 4 }
    expect(done.map(&:first)).to eq(%w[a:0 b:3 bad:1 bad:2])
    expect(done.assoc("bad:1").drop(1)).to eq([5, true])
    expect(done.assoc("bad:2").drop(1)).to eq([1, false])
    expect(consumer.stats).to include(total_retried: 4, total_failed: 4)
  end

  it "has the same id for a message at each delivery" do
    ids = []
    running(topic_partition) { |message| ids << message.id }
    client.produce("orders", 3, "a", "b")
    eventually { ids.size == 2 }
    expect(ids).to contain_exactly("orders/3/0", "orders/3/1")
  end

  it "ends run with GaveUp when giving up means to stop; nothing of the message is committed" do
    consumer = running(topic_partition, attempts: 2, wait: 0.01, give_up: :stop, &failing({ "bad" => 9 }))
    client.produce("orders", 3, "a", "bad", "bad")
    error = failure_of(consumer)
    expect(error).to be_a(WorkShaper::GaveUp)
    expect(error.cause).to be_a(IOError)
    expect(client.committed).to eq(topic_partition => 1)
  end

  it "ends run with GaveUp for GiveUp, when nothing says what giving up means" do
    consumer = running(topic_partition) { raise WorkShaper::GiveUp, "no use" }
    client.produce("orders", 3, "a")
    expect(failure_of(consumer)).to be_a(WorkShaper::GaveUp).and have_attributes(cause: WorkShaper::GiveUp)
  end

  it "runs a callable inside around; what it raises is told, and it alone is called again" do
    inside = []
    around = lambda do |message, &work|
      inside << message.payload
      work.call
    ensure
      inside << :out
    end
    calls = []
    give_up = lambda do |failure|
      calls << [failure.message.payload, failure.attempts, inside.last]
      raise "no table" if calls.size == 1

      :skip
    end
    running(topic_partition, around: around, attempts: 2, wait: 0.01, give_up: give_up, &failing({ "bad" => 9 }))
    client.produce("orders", 3, "bad")
    eventually { client.offset_of(*topic_partition) == 1 }
    expect(calls).to eq([["bad:0", 2, "bad:0"]] * 2)
    expect(log.entries(/Could not give up/).first).to include(first_error: "IOError: broken bad:0")
  end

  it "drops what waits for its time when it stops, with all behind it on its key, also with drain" do
    consumer = running(topic_partition, wait: 30, drain: true, on_error: ->(*) {}, &failing({ "bad" => 9 }))
    client.produce("orders", 3, "a", "bad", "bad", "b")
    eventually { consumer.stats[:retrying] == 1 && done.size == 2 }
    expect(stop(consumer)).to be(false)
    expect(client.committed).to eq(topic_partition => 1)
  end

  it "drops what an open breaker holds, too, when it stops with drain" do
    consumer = running(topic_partition, drain: true, shutdown_timeout: 20, wait: 0.01, on_error: ->(*) {}) do |message|
      raise "down" unless message.key == "good"
    end
    client.produce("orders", 3, "good", *Array.new(100) { |number| "key #{number}" })
    eventually { consumer.stats.dig(:breaker, :state) == :open && client.offset_of(*topic_partition) == 1 }
    began = ManagerHelpers.now
    expect(stop(consumer)).to be(false)
    expect(ManagerHelpers.now - began).to be < 10
  end

  it "takes nothing in while the breaker is open, and counts no attempts" do
    well = false
    attempts = Queue.new
    breaker = { share: 0.5, of: 10, wait: 0.1 }
    consumer = running(topic_partition, wait: 0.01, breaker: breaker, on_error: ->(*) {}) do |message|
      well ? attempts << message.attempt : raise("down")
    end
    client.produce("orders", 3, *Array.new(30) { |number| "key #{number}" })
    eventually { client.paused_partitions == [topic_partition] }
    well = true
    eventually { client.offset_of(*topic_partition) == 30 }
    expect(Array.new(30) { attempts.pop }.max).to eq(1)
    eventually { consumer.stats[:paused].empty? }
  end

  it "takes something in to probe when nothing that could be is left" do
    breaker = { share: 0.5, of: 10, wait: 0.1 }
    consumer = running(topic_partition, wait: 0.01, breaker: breaker, on_error: ->(*) {}) do |message|
      raise "down" unless message.key == "good"
    end
    client.produce("orders", 3, *Array.new(30) { |number| "key #{number}" })
    eventually { consumer.stats.dig(:breaker, :state) == :open }
    client.revoke(topic_partition)
    client.produce("orders", 4, "good", "good")
    client.assign(["orders", 4])
    eventually { client.offset_of("orders", 4) == 2 }
    expect(consumer.stats[:breaker]).to include(state: :closed)
  end

  it "turns no more often than an idle one while all waits for its time, or for the breaker" do
    consumer = running(topic_partition, wait: 60, breaker: { of: 5, wait: 60 }, on_error: ->(*) {}) { raise "down" }
    client.produce("orders", 3, *%w[a b c])
    eventually { consumer.stats[:retrying] == 3 }
    expect(turns_in_a_second).to be < 20
    client.produce("orders", 3, *%w[d e])
    eventually { consumer.stats.dig(:breaker, :state) == :open && consumer.stats[:running].zero? }
    expect(turns_in_a_second).to be < 20
  end

  def turns_in_a_second
    before = client.takes
    sleep 1
    client.takes - before
  end

  it "lets the producer's answer count when the log of it is cut off" do
    producer = instant_producer
    allow(log).to receive(:warn).and_wrap_original do |warn, *fields, &block|
      told = block ? block.call : fields.first
      raise NotImplementedError, "a logger of its own" if told.to_s.include?("Dead-lettered")

      warn.call(told)
    end
    consumer = running(topic_partition, attempts: 1, give_up: "dead", producer: producer, on_error: ->(*) {},
                       &failing({ "bad" => 1 }))
    client.produce("orders", 3, "bad", "bad", "a")
    eventually { client.offset_of(*topic_partition) == 3 }
    expect(consumer.stats).to include(total_dead_lettered: 1, dead_letters_waiting: 0)
  end

  it "sends away what failed with an error that cannot say what it is" do
    silent = Class.new(StandardError) { def message = raise(NotImplementedError) }
    consumer = running(topic_partition, attempts: 1, give_up: "dead", producer: instant_producer) { raise silent }
    client.produce("orders", 3, "a")
    eventually { client.offset_of(*topic_partition) == 1 }
    expect(consumer.stats).to include(total_dead_lettered: 1)
  end

  # Each send is confirmed at once.
  def instant_producer
    handle = Class.new do
      def pending? = false
      def wait(**) = true
    end
    Class.new { define_method(:produce) { |**| handle.new } }.new
  end

  { "is never confirmed" => "true", "was confirmed after its end" => "false" }.each do |name, pending|
    it "leaves no thread behind when a dead letter #{name}" do
      expect_child_to_pass(<<~RUBY)
        require #{File.expand_path("../support/consumer/child", __dir__).inspect}
        handle = Class.new { def pending? = #{pending}; def wait(**) = true }
        producer = Class.new { define_method(:produce) { |**| handle.new } }.new
        gate = Queue.new
        consumer = fake_consumer(attempts: 1, give_up: "dead", producer: producer, on_error: ->(*) {}, signals: false,
                                 shutdown_timeout: 0.3) do
          gate.pop
          raise "broken"
        end
        runner = Thread.new { consumer.run }
        wait_until("start") { client.topics }
        client.produce("orders", 3, "a")
        client.assign(["orders", 3])
        wait_until("runs") { gate.num_waiting == 1 }
        gate.close if #{pending}
        consumer.stop
        same(false, runner.value, "run")
        gate.close
        no_threads_left
        passed
      RUBY
    end
  end

  it "drops what fails while it stops" do
    gate = self.gate
    consumer = running(topic_partition, wait: 0.01, on_error: ->(*) {}) do |message|
      gate.pass
      raise "broken" if message.key == "bad"
    end
    client.produce("orders", 3, "a", "bad")
    eventually { gate.waiting == 2 }
    consumer.stop
    eventually { consumer.stats[:shutting_down] }
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(client.committed).to eq(topic_partition => 1)
  end

  it "is unhealthy while one try has run for long, but not while one waits for its time" do
    gate = self.gate
    consumer = running(topic_partition, wait: 30, stuck_after: 0.2, on_error: ->(*) {}) do |message|
      raise "broken" if message.key == "bad"

      gate.pass
    end
    client.produce("orders", 3, "bad")
    eventually { consumer.stats[:retrying] == 1 }
    client.produce("orders", 3, "slow")
    eventually { consumer.stats[:stuck].any? }
    expect(consumer.stats[:stuck]).to match([include(partition: "orders/3", offset: 1, sub_key: "slow", attempt: 1)])
    expect(consumer.healthy?(max_age: 0.1)).to be(false)
    expect(consumer.healthy?).to be(true)
    eventually { log.entries(/Stuck/, "WARN").any? }
    told = log.entries(/Stuck/, "WARN").first
    expect(told).to include(topic: "orders", partition: 3, offset: 1, attempt: 1)
    expect(told[:backtrace].join).to include("manager_helpers.rb")
    expect(told.to_s).not_to include("slow")
  end

  describe "at the door" do
    it "wants give_up when attempts are limited" do
      expect { fake_consumer(attempts: 3) }.to raise_error(ArgumentError, /attempts is 3.*give_up/)
    end

    it "refuses a timeout of 0, and waits that are none" do
      expect { fake_consumer(timeout: 0) }.to raise_error(ArgumentError, /timeout is 0/)
      expect { fake_consumer(wait: 0) }.to raise_error(ArgumentError, /wait is 0/)
      expect { fake_consumer(wait: 5..1) }.to raise_error(ArgumentError, /wait is 5..1/)
    end

    it "refuses a dead-letter topic that does not exist, or that it consumes itself, when run begins" do
      client.missing_topics << "gone"
      consumer = fake_consumer(attempts: 2, give_up: "gone")
      start(consumer)
      expect(failure_of(consumer)).to be_a(WorkShaper::Error).and have_attributes(message: /"gone" does not exist/)
      @client = nil
      consumer = fake_consumer(topics: "^ord", attempts: 2, give_up: "orders-dead")
      start(consumer)
      expect(failure_of(consumer)).to be_a(WorkShaper::Error).and have_attributes(message: /consumed here, as "\^ord"/)
    end
  end
end
