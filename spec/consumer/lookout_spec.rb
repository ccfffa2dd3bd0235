# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "that looks out for Kafka" do
  let(:topic_partition) { ["orders", 0] }
  let(:report) { ConsumerHelpers.client_class::Report }

  before { replace_constant(inner(:Lookout), :PERIOD, 0.02) }

  def told
    log.entries(/\A(Kafka (is|refused)|Error in the lookout)/)
  end

  def lookouts
    manager_threads.select { |thread| thread.name == "work_shaper lookout" }
  end

  it "leaves no requests waiting for a broker while none answers, and goes on with them afterwards" do
    running(topic_partition)
    turns(1) # behind an assignment it hurries the lookout
    eventually { client.queries.requests > 5 }
    client.queries.silent = true
    rounds
    before = client.queries.requests
    rounds(10)
    expect(client.queries.requests).to eq(before)
    client.queries.silent = false
    eventually { client.queries.requests > before }
  end

  describe "when it goes" do
    before { replace_constant(inner(:Reachability), :PATIENCE, 0) }

    it "says so once, once a minute, and once when it is back" do
      consumer = running(topic_partition)
      eventually { consumer.stats[:kafka][:reachable] }
      since = consumer.stats[:kafka][:since]
      expect(since).to be_within(10).of(Time.now)
      reachability = poll_loop_of(consumer).instance_variable_get(:@lookout).reachability
      reachability.instance_variable_set(:@patience, 600) # until there is the reason, too
      client.queries.silent = true
      rounds(2)
      client.reports << report.new(:resolve, "old") << report.new(:transport, "Connection refused")
      reachability.instance_variable_set(:@patience, 0)
      eventually { consumer.stats[:kafka][:reachable] == false }
      rounds
      expect(told).to match([include(message: "Kafka is away", away_sec: Integer, reason: "Connection refused")])
      expect(consumer.stats[:kafka][:since]).to be > since
      replace_constant(inner(:Reachability), :TOLD_AGAIN, 0)
      eventually { told.size > 1 }
      expect(told.last).to include(message: "Kafka is still away")
      client.queries.silent = false
      eventually { consumer.stats[:kafka][:reachable] }
      rounds
      expect(told.last).to match(message: "Kafka is back", away_sec: Integer)
      expect(log.entries(/Kafka is back/, "INFO").size).to eq(1)
    end

    it "does not name what librdkafka said before somebody answered" do
      running(topic_partition)
      client.reports << report.new(:transport, "long ago")
      rounds
      client.queries.silent = true
      eventually { told.any? }
      expect(told.first).not_to include(:reason)
    end

    it "is alive all the same: the outage is not the process's" do
      consumer = running(topic_partition)
      client.queries.silent = true
      eventually { told.any? }
      expect(consumer).to be_healthy
    end

    it "is not away when only the coordinator does not answer, as in a rebalance" do
      consumer = running(topic_partition)
      eventually { consumer.stats[:kafka][:reachable] }
      client.queries.refusal = -185
      rounds(5)
      expect(consumer.stats[:kafka]).to include(reachable: true)
      expect(told).to be_empty
    end
  end

  it "is answered when it has no partitions to ask for, too" do
    replace_constant(inner(:Reachability), :PATIENCE, -1)
    consumer = running
    eventually { consumer.stats.dig(:kafka, :reachable) }
    rounds
    expect(told).to be_empty
    client.queries.silent = true
    eventually { told.any? && consumer.stats[:kafka][:reachable] == false } # one answer may be on its way
  end

  it "is patient: a single late answer is no outage" do
    replace_constant(inner(:Reachability), :PATIENCE, 600)
    consumer = running(topic_partition)
    rounds(1)
    client.queries.silent = true
    rounds(5)
    expect(consumer.stats[:kafka]).to include(reachable: true)
    expect(told).to be_empty
  end

  it "believes librdkafka that all brokers are down" do
    replace_constant(inner(:Reachability), :PATIENCE, 60)
    consumer = running(topic_partition)
    rounds(1)
    client.queries.silent = true
    rounds(2)
    client.reports << report.new(:all_brokers_down, "1/1 brokers are down")
    eventually { consumer.stats[:kafka][:reachable] == false }
    expect(told.first).to include(message: "Kafka is away", reason: "1/1 brokers are down")
  end

  it "goes on when something unforeseen happens, and says so once" do
    consumer = running(topic_partition)
    rounds
    client.queries.define_singleton_method(:request_offsets) { |*| raise "no idea" }
    rounds
    expect(told).to match([include(error: "RuntimeError: no idea")])
    client.queries.singleton_class.remove_method(:request_offsets)
    client.produce("orders", 0, "a")
    eventually { consumer.stats[:partitions]["orders/0"][:end] == 1 }
  end

  it "asks nothing any more once run is over" do
    consumer = running(topic_partition)
    rounds
    stop(consumer)
    expect(lookouts).to be_empty
    expect(consumer.stats[:kafka]).to include(reachable: true)
  end

  describe "and commits" do
    def refuse(code = 27)
      client.commits.call(nil, code, FFI::Pointer::NULL, nil)
    end

    it "counts them, and when one was last confirmed" do
      consumer = running(topic_partition)
      expect(consumer.stats[:commits]).to eq(last_confirmed_at: nil, confirmed: 0, refused: 0)
      client.commits.call(nil, 0, FFI::Pointer::NULL, nil)
      client.commits.call(nil, -168, FFI::Pointer::NULL, nil)
      refuse
      expect(consumer.stats[:commits]).to match(last_confirmed_at: be_within(10).of(Time.now), confirmed: 1,
                                                refused: 1)
    end

    it "tells of many refused ones in one line" do
      running(topic_partition)
      440.times { refuse }
      eventually { told.any? }
      rounds
      expect(told).to match([{ message: "Kafka refused commits", refused: 440, error: /rebalance_in_progress/ }])
    end

    it "tells of more a minute later, or at the end" do
      consumer = running(topic_partition)
      refuse
      eventually { told.any? }
      2.times { refuse(16) }
      rounds
      expect(told.size).to eq(1)
      stop(consumer)
      eventually { told.size == 2 }
      expect(told.last).to include(refused: 2, error: /not_coordinator/)
    end
  end

  it "counts and tells of commits that the broker refuses, in place of librdkafka" do
    said = StringIO.new
    topic = mock_topic
    mock.produce_numbered(topic, 1)
    consumer = mock_consumer(topic)
    Rdkafka::Config.logger = Logger.new(said)
    start(consumer)
    eventually { consumer.stats[:commits]&.fetch(:confirmed) == 1 }
    mock.refuse(:offset_commit, *[29] * 3)
    mock.produce_numbered(topic, 1)
    eventually { consumer.stats[:commits][:refused].positive? && told.any? }
    refusal = told.find { |line| line[:message] == "Kafka refused commits" }
    expect(refusal).to include(error: /topic_authorization_failed/)
    expect(said.string).not_to include("Offset commit")
  ensure
    mock.forgive(:offset_commit)
  end

  it "keeps no process alive, and is not in a forked child" do
    expect_consumer_to_pass(<<~RUBY)
      c = mock_consumer(signals: false) { |m| worked << m.offset }
      mock_topic(3)
      runner = Thread.new { c.run }
      wait_until("an answer") { c.stats.dig(:partitions, "orders/0", :end) == 3 }
      same(1, threads_named("work_shaper lookout").size, "lookouts")
      pid = fork do
        same([], threads_named("work_shaper lookout"), "lookouts of the child")
        exit!(0)
      end
      check(child_status(pid).success?, "the child")
      passed
    RUBY
  end

  it "ends in time with nobody there to answer" do
    expect_consumer_to_pass(<<~RUBY, limit: 30)
      mock_topic(3)
      c = mock_consumer { |m| worked << m.offset }
      runner = Thread.new { c.run }
      wait_until("an answer") { c.stats.dig(:partitions, "orders/0", :committed) == 3 }
      mock.down
      wait_until("an outage") { c.stats[:kafka][:reachable] == false }
      began = now
      c.stop
      runner.join
      check(now - began < 25, "stopped after \#{now - began} s")
      no_threads_left
      passed
      exit!(0)
    RUBY
  end
end
