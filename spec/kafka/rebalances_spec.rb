# frozen_string_literal: true

require_relative "../support/kafka/suite"

RSpec.describe "A rebalance", :kafka, watchdog: 120 do
  # Joins the group as any other consumer would, and leaves it again. Returns the milliseconds until the member had
  # given its partitions back.
  def join_and_leave(group, topic, member)
    joiner = Rdkafka::Config.new("bootstrap.servers": group.servers, "group.id": group.name,
                                 "session.timeout.ms": session_ms, "enable.auto.commit": false,
                                 "heartbeat.interval.ms": KafkaSpecs::Helpers::HEARTBEAT_MS,
                                 "partition.assignment.strategy": "range").consumer
    joiner.subscribe(topic.name)
    began = KafkaSupport::ChildProcess.now
    await_kafka(-> { "no partitions" }) { joiner.poll(5) || !joiner.assignment.empty? }
    answered = member.await("answer") { |log| log.events.find { |event| event.kind == "revoked" && event.at > began } }
    (answered.at - began) / 1_000_000.0
  ensure
    joiner&.close
  end

  # When the member has all partitions again and, with a window, has filled it.
  def join_ms(topic, group, member, window: nil)
    member.await_assignment(topic.partitions)
    await_full(member, window) if window
    join_and_leave(group, topic, member)
  end

  # Nearly no room in its window, which is two messages a worker at least, since its partitions were assigned.
  def await_full(member, window)
    member.await("full queues") do |log|
      load = log.last("load")
      load && load.at > log.last("assigned").at && load.words[1].to_i > 0.9 * window
    end
  end

  # The part of a processor that a member has had while its work computed, 1 on a machine that is idle.
  def processor_share(member)
    loads = member.log.read.events.select { |event| event.kind == "load" }
    shares = loads.each_cons(2).map do |first, second|
      (second.words[2].to_i - first.words[2].to_i).fdiv(second.at - first.at)
    end
    shares.sort[shares.size / 2].clamp(0.05, 1)
  end

  def idle_group
    topic = kafka_topic(partitions: 4)
    group = kafka_group(topic)
    [topic, group, start_member("idle", group, protocol: :eager)]
  end

  { "waits" => { sleep_ms: 50 }, "computes" => { cpu_ms: 1 } }.each do |what, work|
    # The mock cluster takes its own time for a join.
    it "is answered within 200 ms when all workers are busy with work that #{what}, all queues full", kafka: :real do
      idle = idle_group
      topic = kafka_topic(partitions: 4)
      topic.produce(40_000, keys: 100)
      group = kafka_group(topic)
      busy = start_member("busy", group, work: work, record: 100, protocol: :eager, concurrency: 25)
      # Each beside one of an idle group: broker, guest and member need a processor, too, of the same machine.
      longer = Array.new(5) { join_ms(topic, group, busy, window: 50) - join_ms(*idle) }

      share = work.key?(:cpu_ms) ? processor_share(busy) : 1
      expect(longer.sort[2]).to be < 200 / share
      taken = busy.log.tenures.filter_map { |tenure| tenure.settled && (tenure.settled - tenure.to) }.sort
      expect(taken[taken.size / 2]).to be < 200_000_000 / share
    end
  end

  it "every 500 ms for 30 s costs nothing but repetitions of what ran" do
    topic = kafka_topic(partitions: 8)
    produced = topic.produce(20_000, keys: 200)
    group = kafka_group(topic).begin_at_first.watch
    start = ->(name) { start_member(name, group, work: { sleep_ms: 30 }, protocol: :eager) }
    await_balance(topic, *%w[a b].map(&start))
    guests = Array.new(30) do |number|
      guest = start.call("guest#{number}")
      guest.await("its start") { |log| log.last("running") }
      sleep 0.5 # this is the scenario, not a wait for something
      guest.term
      sleep 0.5
      guest
    end
    expect_stopped(*guests)
    await_committed(group, topic)
    stop_members
    checker = expect_sound(produced, samples: group.samples)

    expect(revokes).to be > 20 # on the mock cluster each takes a second, and a guest may be too late to come
    expect_committed_at_revokes(checker, group, 30)
    expect(checker.repeats).to be <= most_repeats(30)
  end

  # The second round of a cooperative rebalance begins at once for the one, for the other with its next heartbeat. Until
  # then the broker reads no commit of the first.
  it "costs nothing that is finished when a member is asked to stop in the middle of it", kafka: :real do
    topic = kafka_topic(partitions: 4)
    produced = topic.produce(10_000, keys: 200)
    group = kafka_group(topic).begin_at_first.watch
    config = { "session.timeout.ms": 15_000, "heartbeat.interval.ms": 1_500 }
    start = ->(name) { start_member(name, group, work: { sleep_ms: 20 }, concurrency: 10, config: config) }
    one = start.call("one")
    await_finished(100)
    start.call("two")
    one.await("revoke") { |log| log.events.find { |event| event.kind == "revoked" && event.words.any? } }
    await_finished(finished + 200)
    one.term
    expect_stopped(one)
    await_committed(group, topic, seconds: 90)
    stop_members
    checker = expect_sound(produced, samples: group.samples)

    expect(checker.repeats).to be <= most_repeats(20, concurrency: 10)
  end
end
