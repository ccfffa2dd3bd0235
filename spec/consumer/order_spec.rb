# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "order" do
  # payload => how many of its key are at work while it is.
  def recorder
    started = []
    at_work = Hash.new(0)
    most = Hash.new(0)
    record = lambda do |name, key, &block|
      started << name
      most[key] = [most[key], at_work[key] += 1].max
      block&.call
      at_work[key] -= 1
    end
    [started, most, record]
  end

  it "is that of the partition for one key, one at a time" do
    started, most, record = recorder
    keys = %w[a b c].cycle.first(300)
    consumer = running(["orders", 0]) { |message| record.call(message.payload, message.key) { Thread.pass } }
    client.produce("orders", 0, *keys)
    eventually { started.size == 300 }
    stop(consumer)
    expect(started.group_by { |payload| payload[0] }.values.map { |of_key| of_key.map { |name| name[2..].to_i } })
      .to all(satisfy { |numbers| numbers == numbers.sort })
    expect(most.values).to all(eq(1))
  end

  it "lets other keys run beside one that is at work" do
    gate = self.gate
    done = []
    running(["orders", 0]) { |message| message.key == "slow" ? gate.pass : done << message.payload }
    client.produce("orders", 0, "slow", "a", "slow", "b", "c", "a")
    eventually { done.size == 4 && gate.waiting == 1 }
    expect(done.grep(/a/)).to eq(%w[a:1 a:5])
  end

  it "does not exist for messages without a key: they run side by side" do
    gate = self.gate
    running(["orders", 0], concurrency: 5) { gate.pass }
    client.produce("orders", 0, nil, nil, nil, nil, nil, nil)
    eventually { gate.waiting >= 5 }
    expect(gate.waiting).to eq(5)
  end

  it "distinguishes an empty key from none" do
    gate = self.gate
    running(["orders", 0], concurrency: 5) { gate.pass }
    client.produce("orders", 0, "", "", nil, nil)
    eventually { gate.waiting == 3 }
    turns
    expect(gate.waiting).to eq(3)
  end

  it "is one for a key that is in two partitions" do
    gate = self.gate
    running(["orders", 0], ["orders", 1]) { gate.pass }
    2.times { |partition| client.produce("orders", partition, "same", "own-#{partition}") }
    eventually { gate.waiting == 3 }
    turns
    expect(gate.waiting).to eq(3)
  end

  describe "by sub_key" do
    it "is that of what it returns" do
      started, most, record = recorder
      sub_key = ->(message) { message.key.to_i % 2 }
      consumer = running(["orders", 0], sub_key: sub_key) do |message|
        record.call(message.key.to_i, message.key.to_i % 2)
      end
      client.produce("orders", 0, *(0...100).map(&:to_s))
      eventually { started.size == 100 }
      stop(consumer)
      expect(started.partition(&:even?)).to eq((0...100).to_a.partition(&:even?))
      expect(most.values).to eq([1, 1])
    end

    it "is none where it returns nil" do
      gate = self.gate
      running(["orders", 0], concurrency: 4, sub_key: ->(_message) {}) { gate.pass }
      client.produce("orders", 0, "a", "a", "a", "a", "a")
      eventually { gate.waiting >= 4 }
      expect(gate.waiting).to eq(4)
    end

    it "may be anything that can be a key of a Hash" do
      started, = recorder
      keys = { "i" => 1, "f" => 1.5, "s" => :one, "a" => [1, "x"], "t" => true, "n" => false }
      sub_key = ->(message) { keys[message.key] }
      consumer = running(["orders", 0], sub_key: sub_key) { |message| started << message.payload }
      client.produce("orders", 0, *(keys.keys * 3))
      eventually { started.size == 18 }
      stop(consumer)
      expect(started.group_by { |payload| payload[0] }.values.map { |of_key| of_key.map { |name| name[2..].to_i } })
        .to all(satisfy { |numbers| numbers == numbers.sort })
    end

    it "is called once for each message, in the order of the partition" do
      asked = []
      done = 0
      running(["orders", 0], sub_key: ->(message) { asked << message.offset }) { done += 1 }
      client.produce("orders", 0, *%w[a b c d e f])
      eventually { done == 6 }
      expect(asked).to eq((0...6).to_a)
    end

    it "sees the payload" do
      started, = recorder
      running(["orders", 0], sub_key: ->(message) { message.payload[0] }) { |message| started << message.payload }
      client.produce("orders", 0, "a", "b", "a")
      eventually { started.size == 3 }
      expect(started.grep(/a/)).to eq(%w[a:0 a:2])
    end
  end

  describe "by a sub_key that raises" do
    let(:failing) { ->(message) { message.key == "bad" ? raise("no key in #{message.payload}") : message.key } }

    it "counts as the message's failure: on_error is told, and its work is not called" do
      done = []
      errors = []
      on_error = ->(error, message, partition, offset) { errors << [error.message, message.payload, partition, offset] }
      consumer = skipping(["orders", 2], sub_key: failing, on_error: on_error) { |message| done << message.payload }
      client.produce("orders", 2, "a", "bad", "a", "bad", "b")
      eventually { done.size == 3 && errors.size == 2 }
      expect(stop(consumer)).to be(true)
      expect(errors.sort_by(&:last)).to eq([["no key in bad:1", "bad:1", 2, 1], ["no key in bad:3", "bad:3", 2, 3]])
      expect(done.sort).to eq(%w[a:0 a:2 b:4])
      expect(client.offset_of("orders", 2)).to eq(5)
    end

    it "is logged without on_error" do
      done = []
      running(["orders", 0], sub_key: failing) { |message| done << message.payload }
      client.produce("orders", 0, "bad", "a")
      eventually { done.any? && log.messages("ERROR").any? }
      expect(log.messages("ERROR").to_s).to include("no key in bad:0")
    end

    it "counts in stats" do
      consumer = skipping(["orders", 0], sub_key: failing)
      client.produce("orders", 0, "bad", "a", "bad")
      eventually { client.offset_of("orders", 0) == 3 }
      expect(consumer.stats[:total_failed]).to eq(2)
    end

    it "does not go through around, whose work is not to be done" do
      seen = []
      done = []
      around = lambda do |message, &work|
        seen << message.payload
        work.call
      end
      skipping(["orders", 0], sub_key: failing, around: around) { |message| done << message.payload }
      client.produce("orders", 0, "bad", "a")
      eventually { done == %w[a:1] }
      expect(seen - %w[bad:0]).to eq(%w[a:1])
    end

    it "keeps the order of the others" do
      started, = recorder
      skipping(["orders", 0], sub_key: failing, on_error: ->(*) {}) { |message| started << message.payload }
      client.produce("orders", 0, *(%w[a bad b bad] * 25))
      eventually { started.size == 50 }
      expect(started.grep(/a/).map { |name| name[2..].to_i }).to eq((0...100).step(4).to_a)
    end
  end

  it "counts a sub key that cannot be hashed or compared as the message's failure" do
    odd = Class.new do
      attr_reader :hash

      def initialize(hash)
        @hash = hash || raise("no hash")
      end

      def eql?(_other) = raise("no eql?")
    end
    unhashed = Class.new { def hash = raise("no hash") }
    keys = { "no hash" => -> { unhashed.new }, "basic" => -> { BasicObject.new }, "no eql?" => -> { odd.new(7) } }
    gate = self.gate
    errors = []
    skipping(["orders", 0], sub_key: ->(message) { keys.fetch(message.key, -> { message.key }).call },
                            on_error: ->(error, *) { errors << error.class }) { gate.pass }
    client.produce("orders", 0, "a", "no hash", "basic", "no eql?", "no eql?", "b")
    eventually { errors.size == 3 && gate.waiting == 3 }
    gate.open
    eventually { client.offset_of("orders", 0) == 6 }
    expect(errors.tally).to eq(RuntimeError => 2, NoMethodError => 1)
  end

  it "forgets a message whose sub_key raised when it is dropped before its turn" do
    replace_constant(inner(:BackPressure), :PAUSE_AFTER, 600)
    gate = self.gate
    sub_key = ->(message) { message.key == "bad" ? raise("no key") : message.key }
    consumer = skipping(["orders", 0], concurrency: 1, sub_key: sub_key, on_error: ->(*) {}) { gate.pass }
    client.produce("orders", 0, "a", *(["bad"] * 10))
    eventually { consumer.stats[:in_flight] == 11 && gate.waiting == 1 }
    client.revoke(["orders", 0])
    expect(poll_loop_of(consumer).instance_variable_get(:@pool).instance_variable_get(:@sub_key_errors)).to be_empty
  end

  it "withstands the garbage collector at every allocation, and compaction" do
    expect_consumer_to_pass(<<~RUBY, limit: 40)
      messages = Array.new(40) do |n|
        WorkShaper::Message.new(topic: "orders", partition: n % 2, offset: n, key: (n % 5 == 0 ? nil : "k\#{n % 3}"))
      end
      by_key = Hash.new { |hash, key| hash[key] = [] }
      by_key[nil] # the others are worked on one after the other
      crew_class = WorkShaper::Consumer.const_get(:Pool)
      [nil, ->(m) { m.key && m.key + "!" }].each do |sub_key|
        pool = crew_class.new(sub_key: sub_key, block: ->(m) { by_key[m.key] << m.offset }, around: nil,
                              policy: WorkShaper.const_get(:RetryPolicy).new({}, defaults: { attempts: :unlimited }, topics: true),
                              sending: { config: { "group.id" => "specs" } }, max_bytes: 1_000_000, heartbeat_period_sec: 0,
                              events: WorkShaper.const_get(:Events)::Publisher.new,
                              ack: ->(partition, offset) { acked[partition] << offset }, concurrency: 3)
        GC.stress = true
        messages.each_slice(13) { |slice| slice.shift(pool.feed(slice)) until slice.empty? }
        GC.stress = false
        GC.compact if GC.respond_to?(:compact)
        same(true, pool.shutdown(timeout: 10), "shutdown")
      end
      expected = messages.map(&:offset).group_by { |n| messages[n].key }
      by_key.delete(nil)
      by_key.each { |key, offsets| same(expected[key] * 2, offsets, key) }
      same({ "orders/0" => [38, 38], "orders/1" => [39, 39] }, acked.transform_values { |o| o.last(1) * 2 }, "acked")
      passed
    RUBY
  end

  it "takes what is no StandardError out of a sub_key for a failure, too" do
    done = []
    failing = ->(message) { message.key == "bad" ? raise(NotImplementedError, "no key") : message.key }
    consumer = skipping(["orders", 0], sub_key: failing, on_error: ->(*) {}) { |message| done << message.payload }
    client.produce("orders", 0, "a", "bad", "c")
    eventually { client.offset_of("orders", 0) == 3 }
    expect(done).to contain_exactly("a:0", "c:2")
    expect(consumer.stats[:total_failed]).to eq(1)
  end

  it "ends run with what a sub_key raises that is meant for the process, and loses nothing" do
    done = []
    failing = ->(message) { message.key == "bad" ? raise(NoMemoryError, "no memory") : message.key }
    consumer = running(sub_key: failing) { |message| done << message.payload }
    client.produce("orders", 0, "a", "b", "bad", "c")
    client.assign(["orders", 0])
    expect(failure_of(consumer)).to be_a(NoMemoryError)
    expect(client).to be_closed
    expect(client.offset_of("orders", 0).to_i).to be <= 2
    expect(done).not_to include("c:3")
  end

  it "is asked for again at each try of a message of which it raised, on the worker; that has no order then" do
    asked = Hash.new { |hash, key| hash[key] = [] }
    sub_key = lambda do |message|
      asked[message.payload] << Thread.current.name
      raise "no key yet" if asked[message.payload].size < 3 && message.key == "late"

      message.key
    end
    done = []
    running(["orders", 0], sub_key: sub_key, wait: 0.01) { |message| done << message.payload }
    client.produce("orders", 0, "late", "a")
    eventually { client.offset_of("orders", 0) == 2 }
    expect(done).to contain_exactly("late:0", "a:1")
    expect(asked["late:0"]).to match(["work_shaper intake", /worker/, /worker/])
    expect(asked["a:1"].size).to eq(1)
  end
end
