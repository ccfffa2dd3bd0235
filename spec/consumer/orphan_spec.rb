# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

# librdkafka, up to 2.15 at least, forgets that a rebalance is over when the topics change while partitions are given up
# (cooperative). It then takes no part in the next one, is put out of the group, and goes on as if it were in it: with
# its partitions, of which it commits nothing.
RSpec.describe WorkShaper::Consumer, "when the group has put it out and librdkafka does not notice", watchdog: 120 do
  # More of librdkafka's mock.h.
  native = Module.new do
    extend FFI::Library

    ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

    attach_function :rd_kafka_mock_topic_set_error, %i[pointer string int], :void
  end

  let(:topics) { %w[a b c d] }
  let(:kafka) { ConsumerHelpers::MockCluster.new }
  let(:cluster) { kafka.instance_variable_get(:@cluster) }
  let(:done) { Queue.new }
  let(:gate) { ManagerHelpers::Gate.new }

  before { topics.each { |topic| kafka.create_topic(topic, partitions: 1) } }

  after { kafka.close }

  def member(options = {}, **more)
    config = config_for(kafka.bootstrap_servers, "specs").merge(
      "partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 1_500,
      "heartbeat.interval.ms": 100, "topic.metadata.refresh.interval.ms": 50, **more
    )
    made_consumer(config: config, topics: topics, **options) do |message|
      gate.pass if message.payload == "held"
      done << [message.topic, message.payload]
    end
  end

  def held(*consumers)
    consumers.map { |consumer| consumer.stats.fetch(:assignment, []) }
  end

  def rejoined
    log.entries(/joins again/).size
  end

  # One more message of each topic.
  def produce(payload)
    topics.each { |topic| kafka.produce(topic, [[0, topic, payload]]) }
  end

  def work_through(payload)
    produce(payload)
    seen = []
    eventually do
      seen << done.pop until done.empty?
      (topics.product([payload]) - seen).empty?
    end
  end

  define_method(:set_error) { |topic, code| native.rd_kafka_mock_topic_set_error(cluster, topic, code) }

  # When partitions go next, one of their topics is not there any more before the last commit of them is answered.
  def lose_a_topic_in_the_middle
    lost = Struct.new(:topic).new
    change = inner(:Rebalance)::Change
    allow(change).to receive(:new).and_wrap_original do |original, *arguments, **keywords|
      made = original.call(*arguments, **keywords)
      next made if made.coming? || lost.topic

      lost.topic = made.topic_partitions.first.first
      allow(arguments.first).to receive(:commit_last).and_return(false)
      allow(made).to receive(:carry_out).and_wrap_original do |carry_out, *rest|
        kafka.delay(:offset_commit, 1_000, times: 8)
        carry_out.call(*rest).tap { set_error(lost.topic, 3) }
      end
      made
    end
    lost
  end

  # Partitions go to a member that leaves before it has them: if another rebalance took some of the first one's, too,
  # librdkafka would be right again.
  def leave_alone(first, second)
    lost = lose_a_topic_in_the_middle
    start(second)
    eventually { lost.topic && first.stats[:troubles].key?(lost.topic) }
    stop(second)
    set_error(lost.topic, 0)
    eventually { held(first).flatten.size == 4 }
  end

  # Partitions go, and one of their topics is not there any more while they are handed over. What follows comes in
  # another rebalance.
  def lose_a_topic_while_work_runs(consumer)
    produce("held")
    eventually { gate.waiting == topics.size }
    yield
    eventually { held(consumer).flatten.size == 2 }
    topic = (topics - held(consumer).flatten.map { |name| name[/\A\w/] }).first
    set_error(topic, 3)
    eventually { rejoined == 1 }
  ensure
    set_error(topic, 0) if topic
    gate.open
  end

  it "joins again when librdkafka says what comes in another rebalance than what went" do
    first = member({ revoke_timeout: 1.4 }) # while it hands over, the topic is to be missed
    second = member("allow.auto.create.topics": true) # it may begin while a topic is away
    start(first)
    work_through("before")
    lose_a_topic_while_work_runs(first) { start(second) }
    eventually { held(first, second).all?(&:any?) && held(first, second).flatten.size == 4 }
    stop(second)
    eventually { held(first).flatten.size == 4 }
    work_through("after")
    expect(stop(first)).to be(true)
    expect(topics.map { |topic| kafka.committed("specs", topic) }).to eq([{ 0 => 3 }] * 4)
  end

  it "joins again when it has no member id any more, and no partition is left to nobody" do
    replace_constant(inner(:Lookout), :PERIOD, 0.1)
    replace_constant(inner(:Membership), :ORPHANED_AFTER, 0.5)
    allow(inner(:Membership)).to receive(:new).and_wrap_original do |original, *arguments|
      original.call(*arguments).tap { |membership| membership.define_singleton_method(:asked_for) { |_change| nil } }
    end
    first = member
    second, third = Array.new(2) { member("allow.auto.create.topics": true) }
    start(first)
    work_through("before")
    leave_alone(first, second)
    start(third) # the first one takes no part in what follows
    eventually { rejoined == 1 && held(first, third).all?(&:any?) && held(first, third).flatten.size == 4 }
    stop(third)
    eventually { held(first).flatten.size == 4 }
    work_through("after")
    expect(stop(first)).to be(true)
    expect(topics.map { |topic| kafka.committed("specs", topic) }).to eq([{ 0 => 2 }] * 4)
  end
end
