# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"
require_relative "../../support/kafka/deaf_listener"

RSpec.describe "WorkShaper::Intake" do
  let(:topic) { mock_topic }
  let(:listener) { KafkaSupport::DeafListener.new }

  # A Consumer::Client that has its partitions.
  def taker(config: {}, topics: [topic], partitions: 1)
    settings = mock_config(group).merge("enable.auto.offset.store": false, "auto.offset.reset": "earliest", **config)
    client = ConsumerHelpers.client_class.new(settings.to_h { |name, value| [name.to_s, value.to_s] }, listener)
    mock.close_at_last(client)
    client.subscribe(topics)
    consumer = client.instance_variable_get(:@consumer)
    eventually("nothing was assigned") { client.take(1, 10) && consumer.assignment.count == partitions }
    client
  end

  # What it gives, up to so many.
  def taken(client, count)
    messages = []
    eventually(-> { "only #{messages.size} of #{count} came" }) do
      messages.concat(client.take(count - messages.size, 10))
      messages.size >= count
    end
    messages
  end

  # The same by the gem's own poll.
  def polled(count)
    config = mock_config("polled-#{group}").merge("auto.offset.reset": "earliest", "enable.auto.commit": false)
    consumer = Rdkafka::Config.new(config).consumer
    consumer.subscribe(topic)
    messages = []
    eventually { messages.push(*consumer.poll(100)).size == count }
    messages
  ensure
    consumer&.close
  end

  def fields(message)
    [message.topic, message.partition, message.offset, message.key, message.payload, message.timestamp, message.headers]
  end

  it "gives what the gem's own poll gives" do
    all_bytes = (0..255).to_a.pack("C*")
    mock.produce(topic, [
                   [0, "key", "payload"], [0, nil, "no key"], [0, "no payload", nil], [0, nil, nil], [0, "", ""],
                   [0, all_bytes, all_bytes * 5], [0, "umläut", "größe"], [0, "large", Random.bytes(1_000_000)],
                   [0, "h", "p", { "one" => "1" }],
                   [0, "h", "p", { "one" => "1", "two" => all_bytes, "empty" => "", "many" => %w[a b c] }]
                 ])
    expected = polled(10)
    given = taken(taker, 10)
    expect(given.map { |message| fields(message) }).to eq(expected.map { |message| fields(message) })
    expect(given).to all(be_a(WorkShaper::Message))
    expect([given[2].payload, given[1].key, given[4].key]).to eq([nil, nil, ""])
    expect(given[7].payload.bytesize).to eq(1_000_000)
  end

  # What a map of finished offsets is bound to must not depend on whether somebody has looked at the message.
  it "gives messages whose fingerprint is that of what came, also when their Strings are made and changed" do
    texts = [nil, "", "text", "a" * 4_095, Random.bytes(4_096)]
    mock.produce(topic, texts.product(texts).map { |key, payload| [0, key, payload] })
    given = taken(taker, 25)
    fingerprints = given.map { |message| message.send(:fingerprint) }
    made = given.map do |message|
      WorkShaper::Message.new(topic: "t", partition: 0, offset: 0, key: message.key, payload: message.payload,
                              timestamp: message.timestamp)
    end
    expect(made.map { |message| message.send(:fingerprint) }).to eq(fingerprints)
    small = given.select { |message| message.payload == "text" && message.key == "text" }
    small.each { |message| [message.key, message.payload].each(&:clear) }
    expect(given.map { |message| message.send(:fingerprint) }).to eq(fingerprints)
    expect(small.size).to eq(1)
  end

  it "gives no more than it was asked for, nor more than a thousand, in order" do
    mock.produce_numbered(topic, 2500)
    client = taker
    sizes = []
    messages = []
    eventually do
      batch = client.take(sizes.size.even? ? 7 : 5000, 0)
      sizes << batch.size
      messages.concat(batch)
      messages.size == 2500
    end
    expect(sizes.each_slice(2).map(&:first)).to all(be <= 7)
    expect(sizes.max).to be <= 1000
    expect(messages.map(&:offset)).to eq((0...2500).to_a)
  end

  it "gives one frozen String for the topic of all messages" do
    mock.produce_numbered(topic, 5)
    topics = taken(taker, 5).map(&:topic)
    expect(topics).to all(eq(topic).and(be_frozen))
  end

  it "gives those of several topics and partitions as what they are" do
    topics = [mock_topic(partitions: 2), mock_topic(partitions: 2)]
    rows = topics.product([0, 1])
    rows.each do |name, partition|
      mock.produce_numbered(name, 20, partition: partition, keys: ["#{name}-#{partition}"])
    end
    given = taken(taker(topics: topics, partitions: 4), 80)
    expect(given.group_by { |message| [message.topic, message.partition] }.keys).to match_array(rows)
    expect(given.map(&:key)).to eq(given.map { |message| "#{message.topic}-#{message.partition}" })
  end

  it "returns nothing when the time is over, and at once with 0" do
    client = taker
    began = ManagerHelpers.now
    expect(client.take(10, 0)).to eq([])
    expect(ManagerHelpers.now - began).to be < 1
    began = ManagerHelpers.now
    expect(client.take(10, 120)).to eq([])
    expect(ManagerHelpers.now - began).to be >= 0.1
  end

  it "lets other threads run while it waits" do
    client = taker
    waiting = blocked_thread { client.take(1, 20_000) }
    turns = 0
    eventually { (turns += 1) > 5 }
    expect(waiting.status).to eq("sleep")
    waiting.wakeup
    expect(value_of(waiting)).to eq([])
  end

  it "ends its wait at Thread#wakeup, and loses nothing by it" do
    client = taker
    began = ManagerHelpers.now
    waiting = blocked_thread { client.take(1, 20_000) }
    waiting.wakeup
    expect(value_of(waiting)).to eq([])
    expect(ManagerHelpers.now - began).to be < 10
    mock.produce_numbered(topic, 3)
    expect(taken(client, 3).map(&:offset)).to eq([0, 1, 2])
  end

  it "ends its wait at Thread#kill, Thread#raise and Timeout, and can be used by another thread then" do
    client = taker
    killed = blocked_thread { client.take(1, 20_000) }
    killed.kill
    expect(killed.join(10)).to eq(killed)
    raised = blocked_thread { client.take(1, 20_000) }
    raised.raise(IOError, "from outside")
    expect { value_of(raised) }.to raise_error(IOError)
    expect { Timeout.timeout(0.1) { client.take(1, 20_000) } }.to raise_error(Timeout::Error)
    mock.produce_numbered(topic, 2)
    expect(taken(client, 2).size).to eq(2)
  end

  it "refuses a second thread, which does no harm to the first" do
    client = taker
    first = blocked_thread { client.take(1, 20_000) }
    expect { client.take(1, 0) }.to raise_error(WorkShaper::Error, /one thread at a time/)
    mock.produce_numbered(topic, 1)
    expect(value_of(first).map(&:offset)).to eq([0])
  end

  it "refuses to be closed while a thread takes messages" do
    client = taker
    intake = client.instance_variable_get(:@intake)
    first = blocked_thread { client.take(1, 20_000) }
    expect { intake.close }.to raise_error(WorkShaper::Error, /taking/)
    first.wakeup
    expect(value_of(first)).to eq([])
    expect(intake.close).to be_nil
  end

  it "says so when it is used after it was closed, and can be closed again" do
    client = taker
    intake = client.instance_variable_get(:@intake)
    client.close
    expect { intake.take(1, 0, []) }.to raise_error(WorkShaper::Error, /closed/)
    expect { intake.store(topic, 0, 1, nil) }.to raise_error(WorkShaper::Error, /closed/)
    expect { intake.end_offset(topic, 0) }.to raise_error(WorkShaper::Error, /closed/)
    expect(intake.close).to be_nil
  end

  it "that was never opened says that it is closed" do
    intake = WorkShaper.const_get(:Intake).new
    expect { intake.take(1, 0, []) }.to raise_error(WorkShaper::Error, /closed/)
    expect { intake.store("orders", 0, 1, nil) }.to raise_error(WorkShaper::Error, /closed/)
    expect(intake.close).to be_nil
    expect { intake.dup }.to raise_error(NoMethodError)
  end

  it "needs all functions that it names" do
    intake_class = WorkShaper.const_get(:Intake)
    names = intake_class.function_names
    expect(names).to include(:consume_batch_queue, :message_destroy, :queue_yield, :offsets_store)
    names.each do |name|
      functions = (names - [name]).to_h { |other| [other, 1] }
      expect { intake_class.new.watch(1, functions) }.to raise_error(KeyError, /#{name}/)
    end
  end

  it "does not take what is wrong" do
    client = taker
    intake = client.instance_variable_get(:@intake)
    expect { intake.take("many", 0, []) }.to raise_error(TypeError)
    expect { intake.take(1, nil, []) }.to raise_error(TypeError)
    expect { intake.take(1, 0, nil) }.to raise_error(TypeError)
    expect { intake.store(nil, 0, 1, nil) }.to raise_error(TypeError)
    expect { intake.store("a\0b", 0, 1, nil) }.to raise_error(ArgumentError)
    expect { intake.store(topic, 2**40, 1, nil) }.to raise_error(RangeError)
    expect(client.take(1, 0)).to eq([])
  end

  it "makes failures of the errors that come instead of messages" do
    mock.refuse(:fetch, *([29] * 200)) # the other clients ask, too
    client = taker
    eventually { client.take(10, 10) && client.failures.any? }
    failure = client.failures.first
    expect(failure).to have_attributes(code: :topic_authorization_failed, topic: topic)
    expect(failure.error).to be_a(Rdkafka::RdkafkaError)
    expect(failure.text).to be_a(String)
  ensure
    mock.forgive(:fetch)
  end

  it "tells whether offsets can be stored, and where the end is" do
    mock.produce_numbered(topic, 4)
    client = taker
    expect(taken(client, 4).size).to eq(4)
    expect(client.store(topic, 0, 4)).to be(true)
    expect(client.store(topic, 3, 1)).to be(false)
    expect(client.store("never-heard-of", 0, 1)).to be(false)
    expect(client.end_offset(topic, 0)).to eq(4)
    expect(client.end_offset("never-heard-of", 0)).to be_nil
    rows = { [topic, 0] => inner(:OffsetList)::Committed.new(4, "beside") }
    expect(client.committed?(rows, 5000)).to be(true)
    expect(mock.committed(group, topic)).to eq(0 => 4)
    expect(client.committed(rows.keys, 5000)).to eq(rows)
    expect(client.committed?(rows, 5000)).to be(true) # nothing new
    lost = { [topic, 0] => rows.values.first.class.new(5) }
    expect(client.committed?({}, 5000, lost: lost)).to be(false)
    expect(mock.committed(group, topic)).not_to include(0 => 5)
  end

  it "commits for the last time what stays, even when an older commit comes behind it" do
    mock.produce_numbered(topic, 4)
    client = taker
    taken(client, 4)
    rows, older = [4, 1].map { |offset| { [topic, 0] => inner(:OffsetList)::Committed.new(offset) } }
    behind = [older]
    allow(client).to receive(:commit).and_wrap_original do |commit, *arguments|
      commit.call(*arguments).tap { behind.shift&.then { |row| commit.call(row, 5000) } }
    end
    expect(client.commit_last(rows, 5000)).to be(true)
    expect(mock.committed(group, topic)).to eq(0 => 4)
    expect(behind).to be_empty
  end

  # librdkafka sends commits again a moment after the connection broke. With KIP-848 brokers take them.
  it "waits for older commits before it says what stays, where they have no generations" do
    mock.produce_numbered(topic, 4)
    client = taker
    taken(client, 4)
    rows, older = [4, 1].map { |offset| { [topic, 0] => inner(:OffsetList)::Committed.new(offset) } }
    allow(client.membership).to receive(:generations?).and_return(false)
    allow(client).to receive(:sleep) { client.commit(older, 5000) }
    expect(client.commit_last(rows, 5000)).to be(true)
    expect(mock.committed(group, topic)).to eq(0 => 4)
    expect(client).to have_received(:sleep).with(inner(:GroupOffsets)::RESEND_TIME).once
  end

  # librdkafka commits what is stored when partitions go.
  it "leaves nothing to be committed after the last time" do
    mock.produce_numbered(topic, 4)
    client = taker(config: { "auto.commit.interval.ms": 60_000 })
    taken(client, 4)
    rows = { [topic, 0] => inner(:OffsetList)::Committed.new(4) }
    expect(client.commit_last(rows, 5000)).to be(true)
    eventually { client.take(1, 10) && client.commits.to_h[:confirmed] == 1 }
    client.unassign([[topic, 0]], incremental: true)
    eventually { client.take(1, 10) && client.assigned.empty? }
    client.close
    expect(client.commits.to_h[:confirmed]).to eq(1)
  end

  it "keeps nothing of librdkafka's: messages outlive the client, which closes at once" do
    mock.produce(topic, Array.new(50) { |number| [0, "key", "#{number} ".ljust(5000 * (number % 2)), { "h" => "v" }] })
    client = taker
    messages = taken(client, 50)
    began = ManagerHelpers.now
    client.close
    expect(ManagerHelpers.now - began).to be < 5
    GC.start
    expect(messages.map { |message| message.payload.to_i }).to eq((0...50).to_a)
    expect(messages.map(&:headers)).to all(eq("h" => "v"))
  end

  it "withstands the garbage collector at every allocation, and compaction" do
    expect_consumer_to_pass(<<~RUBY, limit: 40)
      mock.create_topic("orders", partitions: 1)
      rows = Array.new(30) { |n| [0, n % 3 == 0 ? nil : "k\#{n}", n % 5 == 0 ? nil : "p\#{n}" * (n % 7 == 0 ? 2000 : 1), { "h" => n.to_s }] }
      mock.produce("orders", rows)
      config = { "bootstrap.servers" => mock.bootstrap_servers, "group.id" => "specs", "auto.offset.reset" => "earliest" }
      taker = ConsumerHelpers.client_class.new(config, KafkaSupport::DeafListener.new)
      taker.subscribe(["orders"])
      messages = []
      failures = []
      wait_until("the first message") { messages.concat(taker.take(1, 10)).any? }
      intake = taker.instance_variable_get(:@intake)
      wait_until("all messages") do
        GC.stress = true
        batch = intake.take(7, 10, failures)
        GC.stress = false
        GC.compact if GC.respond_to?(:compact)
        messages.concat(batch).size == 30
      end
      GC.stress = true
      seen = messages.map { |m| [m.key, m.payload, m.headers, m.offset, m.topic] }
      GC.stress = false
      expected = rows.each_with_index.map { |(_, key, payload, headers), n| [key, payload, headers, n, "orders"] }
      same(expected, seen, "messages")
      same([], failures, "failures")
      taker.close
      passed
      exit!(0) # no client may keep it
    RUBY
  end

  it "loses and repeats nothing while its thread is woken all the time" do
    done = []
    mock.produce_numbered(topic, 3000)
    consumer = mock_consumer(topic) { |message| done << message.offset }
    start(consumer)
    eventually { done.any? }
    thread = poll_loop_of(consumer).instance_variable_get(:@thread)
    waker = in_thread { loop { sleep(0.0005) && thread.wakeup } }
    3.times { mock.produce_numbered(topic, 1000) }
    eventually { done.size >= 6000 }
    waker.kill
    expect(stop(consumer)).to be(true)
    expect(done).to eq((0...6000).to_a)
  end
end
