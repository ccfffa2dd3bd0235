# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "with a sub_key that takes its time" do
  # Batches double, so the eighth is offsets 127 to 254, and the ninth 255 to 510: the sub key is slow in the middle of
  # one. There is room for them all.
  many = { concurrency: 500 }

  def slow_from(offset, seconds)
    lambda do |message|
      sleep seconds if message.offset >= offset
      message.key
    end
  end

  # How many messages wait to be fed.
  def unfed(consumer)
    poll_loop_of(consumer).instance_variable_get(:@unfed).size
  end

  it "goes on polling, as librdkafka asks for with max.poll.interval.ms", watchdog: 90 do
    topic = mock_topic
    mock.produce_numbered(topic, 500, keys: ("a".."z").to_a)
    worked = Queue.new
    config = { "max.poll.interval.ms": 3500, "session.timeout.ms": 3500 }
    consumer = mock_consumer(topic, **many, config: config, sub_key: slow_from(400, 0.05)) do |message|
      worked << message.offset
    end
    start(consumer)
    eventually { worked.size == 500 }
    expect(consumer.stats).to include(errors: 0, total_enqueued: 500)
    expect(log.entries(/Assigned/).size).to eq(1)
    expect(stop(consumer)).to be(true)
    expect(Array.new(500) { worked.pop }.tally.values).to all(eq(1))
  end

  it "polls again and again, while a batch is not fed, and keeps to the order" do
    replace_constant(inner(:BackPressure), :FEED_TIME, 60) # batches double, however slow the machine is
    client.produce("orders", 0, *(["a"] * 255))
    worked = []
    takes = []
    sub_key = slow_from(200, 0.03)
    counting = lambda do |message|
      takes << client.takes
      sub_key.call(message)
    end
    running(["orders", 0], **many, sub_key: counting) { |message| worked << message.offset }
    eventually { worked.size == 255 }
    expect(takes[127...200].uniq.size).to eq(1) # one batch
    expect(takes[200..].uniq.size).to be > 10
    expect(worked).to eq((0...255).to_a)
  end

  describe "when something happens meanwhile" do
    # A consumer with a batch of 128, half of which is not fed: the sub key of offset 190 waits at the gate, those that
    # follow are slow.
    define_method(:in_the_middle) do |&work|
      client.produce("orders", 0, *(["a"] * 255))
      @held = gate
      sub_key = lambda do |message|
        @held.pass if message.offset == 190
        sleep 0.02 if message.offset > 190
        message.key
      end
      consumer = running(["orders", 0], **many, sub_key: sub_key, &work)
      eventually { @held.waiting == 1 && client.offset_of("orders", 0) == 190 }
      consumer
    end

    it "forgets what is not fed of a partition that goes, even if it comes back at once" do
      worked = Queue.new
      in_the_middle { |message| worked << message.offset }
      client.later do
        client.revoke_now(["orders", 0])
        client.assign_now(["orders", 0])
      end
      @held.open
      eventually { client.offset_of("orders", 0) == 255 }
      offsets = Array.new(worked.size) { worked.pop }
      expect(offsets.uniq).to eq((0...255).to_a)
      expect(log.entries(/went back/)).to be_empty
    end

    it "feeds none of a partition that goes" do
      worked = Queue.new
      consumer = in_the_middle { |message| worked << message.offset }
      client.produce("orders", 1, "b")
      client.later { client.revoke_now(["orders", 0]) }
      @held.open
      client.assign(["orders", 1])
      eventually { client.offset_of("orders", 1) == 1 }
      expect(worked.size).to be_between(191, 210)
      expect(unfed(consumer)).to eq(0)
    end

    it "stops without feeding the rest" do
      consumer = in_the_middle
      consumer.stop
      eventually { poll_loop_of(consumer).instance_variable_get(:@stops).positive? }
      @held.open
      expect(value_of(thread_of(consumer))).to be(true)
      expect(client.committed[["orders", 0]]).to be_between(190, 210)
    end

    it "takes nothing more in after TSTP" do
      consumer = in_the_middle
      poll_loop_of(consumer).quiet
      @held.open
      eventually { client.paused_partitions == [["orders", 0]] && unfed(consumer).zero? }
      fed = consumer.stats[:total_enqueued]
      turns
      expect(consumer.stats[:total_enqueued]).to eq(fed).and be_between(191, 210)
    end
  end

  it "pauses the partitions after a second in which it could not feed what it has" do
    replace_constant(inner(:BackPressure), :FEED_TIME, 60)
    client.produce("orders", 0, *(["a"] * 600))
    slow = true
    sub_key = lambda do |message|
      sleep 0.05 if slow && message.offset > 200
      message.key
    end
    consumer = running(["orders", 0], **many, sub_key: sub_key)
    eventually { client.paused_partitions.any? }
    expect(unfed(consumer)).to be_between(1, 60) # of 255, and one for each time it polled
    slow = false
    eventually { client.offset_of("orders", 0) == 600 }
    expect(client.paused_partitions).to be_empty
  end
end
