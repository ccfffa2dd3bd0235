# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"
require_relative "../../support/kafka/deaf_listener"

# Behind a request to join, a commit costs a cooperative member its partitions. So what is prepared is committed by the
# thread that has the coordinator's answer, before it waits for Ruby's lock.
RSpec.describe "WorkShaper::Consumer::GroupOffsets#prepare_commit" do
  # More of librdkafka's mock.h, and libc's.
  native = Module.new do
    extend FFI::Library

    ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

    attach_function :rd_kafka_mock_start_request_tracking, [:pointer], :void
    attach_function :rd_kafka_mock_clear_requests, [:pointer], :void
    attach_function :rd_kafka_mock_get_requests, %i[pointer pointer], :pointer
    attach_function :rd_kafka_mock_request_api_key, [:pointer], :int16
    attach_function :rd_kafka_mock_request_timestamp, [:pointer], :int64
    attach_function :rd_kafka_mock_request_destroy_array, %i[pointer size_t], :void
  end
  usleep = FFI::Function.new(:int, [:uint], FFI::DynamicLibrary.open(nil, FFI::DynamicLibrary::RTLD_LAZY)
                                                              .find_function("usleep"))

  let(:kafka) { ConsumerHelpers::MockCluster.new }
  let(:cluster) { kafka.instance_variable_get(:@cluster) }
  let(:places) { [["orders", 0], ["orders", 1]] }

  # A Consumer::Client that has both partitions.
  let(:member) do
    kafka.create_topic("orders", partitions: 2)
    config = config_for(kafka.bootstrap_servers, "specs").merge(
      "enable.auto.offset.store": false, "enable.auto.commit": false, "heartbeat.interval.ms": 100,
      "session.timeout.ms": 1_500, "partition.assignment.strategy": "cooperative-sticky"
    )
    client = ConsumerHelpers.client_class.new(config.to_h { |name, value| [name.to_s, value.to_s] },
                                              KafkaSupport::DeafListener.new)
    kafka.close_at_last(client)
    native.rd_kafka_mock_start_request_tracking(cluster)
    client.subscribe(["orders"])
    eventually("nothing was assigned") { client.take(1, 10) && client.assigned.size == 2 }
    client
  end

  after { kafka.close }

  # Not at once: it has just joined.
  def prepare_until_committed
    eventually("nothing was committed") { prepared_and_committed? }
    expect(ask.last).to be(false) # answered behind that commit
  end

  # False: no answer either, as in a rebalance.
  def prepared_and_committed?
    member.prepare_commit(rows(1, 1))
    ask(200).last
  rescue Rdkafka::RdkafkaError
    false
  end

  def rows(*offsets)
    committed = inner(:OffsetList)::Committed
    places.first(offsets.size).zip(offsets).to_h do |place, offset|
      [place, committed.new(offset, "text #{offset}")]
    end
  end

  # What is committed when the coordinator has answered, and whether anything was.
  def ask(milliseconds = 5_000)
    member.queries.committed(places, milliseconds)
  end

  def committed
    member.committed(places, 5_000).transform_values(&:to_a)
  end

  # Monotonic seconds when requests of a kind came.
  define_method(:requests) do |kind|
    FFI::MemoryPointer.new(:size_t) do |count|
      array = native.rd_kafka_mock_get_requests(cluster, count)
      size = count.read(:size_t)
      of_kind = array.read_array_of_pointer(size).select do |request|
        native.rd_kafka_mock_request_api_key(request) == ConsumerHelpers::MockCluster::API.fetch(kind)
      end
      times = of_kind.map { |request| native.rd_kafka_mock_request_timestamp(request) / 1e6 }
      native.rd_kafka_mock_request_destroy_array(array, size)
      return times
    end
  end

  # The answer to a heartbeat says when to join; or a while after, for it joins once a second at most.
  it "has nothing committed behind a request to join, nor in the second after it" do
    prepare_until_committed
    over = false
    poller = Thread.new { member.take(1, 10) until over }
    [27, 27].each do |rebalance_in_progress|
      joins = requests(:join_group).size
      kafka.refuse(:heartbeat, rebalance_in_progress)
      eventually("it has not joined") { prepared_and_committed? & (requests(:join_group).size > joins) }
      prepare_until_committed
    end
    joins = requests(:join_group)
    expect(joins.size).to be >= 3
    requests(:offset_commit).each { |time| expect(time - joins.reverse.find { |join| join < time }).to be > 0.9 }
  ensure
    over = true
    poller&.join
  end

  describe "a second after it has joined" do
    before do
      prepare_until_committed
      native.rd_kafka_mock_clear_requests(cluster)
    end

    it "has it committed once the coordinator has answered, and only once" do
      member.prepare_commit(rows(3, 5))
      expect(requests(:offset_commit)).to be_empty
      expect(ask).to eq([places.zip([1, 1]).to_h, true])
      expect(committed).to eq(places.zip([[3, "text 3", nil], [5, "text 5", nil]]).to_h)
      expect(ask).to eq([places.zip([3, 5]).to_h, false])
      expect(requests(:offset_commit).size).to eq(1)
    end

    it "has it committed while another thread keeps Ruby's lock" do
      member.prepare_commit(rows(3, 5))
      kafka.delay(:offset_fetch, 300)
      asking = Thread.new { ask }
      eventually { requests(:offset_fetch).any? }
      released = ManagerHelpers.now + 2
      usleep.call(2_000_000)
      expect(value_of(asking).last).to be(true)
      expect(requests(:offset_commit)).to match([be < released])
    end

    it "leaves out partitions of which something is stored before the answer, or that are not ours" do
      member.prepare_commit(rows(3, 5))
      member.store("orders", 0, 4)
      expect(ask.last).to be(true)
      expect(committed.transform_values(&:first)).to eq(places.zip([1, 5]).to_h)
      member.prepare_commit(rows(3))
      member.store("orders", 0, 4)
      expect(ask.last).to be(false)
      member.unassign([places.first], incremental: true)
      member.prepare_commit(rows(3))
      expect(ask.last).to be(false)
    end

    it "forgets it when there is no answer in time, when it is told to, and when partitions come or go before" do
      kafka.delay(:offset_fetch, 1_000)
      member.prepare_commit(rows(3, 5))
      expect { ask(10) }.to raise_error(Rdkafka::RdkafkaError)
      expect(ask.last).to be(false)
      [:forget_commit.to_proc, ->(client) { client.assign({}, incremental: true) },
       ->(client) { client.unassign([], incremental: true) }].each do |change|
        member.prepare_commit(rows(3, 5))
        change.call(member)
        expect(ask.last).to be(false)
      end
      expect(requests(:offset_commit)).to be_empty
    end
  end
end
