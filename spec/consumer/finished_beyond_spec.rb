# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "and what is finished beyond the frontier" do
  let(:topic_partition) { ["orders", 0] }
  let(:done) { [] }

  # "slow" waits at the gate.
  def working(*topic_partitions, gate:, **options)
    running(*topic_partitions, **options) do |message|
      gate.pass if message.key == "slow"
      done << message.payload
    end
  end

  # It has finished the offsets 1, 2 and 4; 0 hangs and 3 waits behind it. Stopped without waiting for them.
  def hung(**options)
    consumer = working(topic_partition, gate: gate, **options)
    client.produce("orders", 0, "slow", "a", "b", "slow", "c")
    eventually { done.size == 3 }
    yield consumer if block_given?
    2.times { consumer.stop }
    value_of(thread_of(consumer))
    done.clear
  end

  # Another member of the group, for which nothing is slow.
  def next_member(to_do, **options)
    @client = client.successor
    consumer = working(gate: gate.tap(&:open), **options)
    client.assign(topic_partition)
    eventually { client.offset_of(*topic_partition) == client.end_offset(*topic_partition) }
    expect(stop(consumer)).to be(true)
    expect(done).to match_array(to_do)
  end

  def ignored
    log.entries(/Committed metadata/, "WARN").map { |entry| entry[:message] }
  end

  def map
    WorkShaper.const_get(:OffsetMap).decode(client.metadata[topic_partition], client.committed[topic_partition])
  end

  # A manager that gets these messages as a Consumer feeds it.
  def fed(messages, map, sub_key = nil, work: ->(*) {})
    manager(work: work).extend(WorkShaper.const_get(:Feeding)).tap do |shaper|
      shaper.__send__(:feed, messages, sub_key, {}.compare_by_identity, { "orders/0" => map }, {})
    end
  end

  it "is committed beside it when it stops, and not worked on again by the next member" do
    hung
    expect(map.runs).to eq([1, 2, 4, 4])
    next_member(%w[slow:0 slow:3])
    expect(ignored).to be_empty
  end

  it "is committed beside it while it stands still, for whoever comes after a kill" do
    hung { eventually { client.metadata[topic_partition] && map.runs == [1, 2, 4, 4] } }
    expect(client.calls).to include(:commit_prepared)
  end

  # Cooperative: a commit behind its request to join would be refused, and librdkafka would give up everything.
  it "is not committed by itself when partitions have just gone, and librdkafka is about to join again" do
    replace_constant(inner(:Checkpoints), :REJOIN_TIME, 1.5)
    waited = []
    allow(client).to receive(:prepare_commit).and_wrap_original do |commit, rows|
      waited << (ManagerHelpers.now - client.listener.rejoined_at)
      commit.call(rows)
    end
    hung do
      client.assign(["orders", 1])
      client.revoke(["orders", 1])
      client.assign # nothing, right after them
      client.produce("orders", 0, "d")
      eventually { client.metadata[topic_partition] && map.runs == [1, 2, 4, 5] }
    end
    expect(waited.last).to be < ManagerHelpers::DEADLINE # some went
    expect(waited).to all(be >= 1.5)
  end

  it "is not committed when the coordinator does not answer, but once it does" do
    client.queries.refusal = -185
    hung do
      asked = 0
      allow(client).to receive(:prepare_commit).and_wrap_original do |prepare, rows|
        asked += 1
        prepare.call(rows)
      end
      eventually { asked > 1 }
      expect(client.metadata).to be_empty
      client.queries.refusal = nil
      eventually { client.metadata[topic_partition] && map.runs == [1, 2, 4, 4] }
    end
  end

  it "is committed once, not again and again" do
    hung do
      eventually { client.metadata[topic_partition] && map.runs == [1, 2, 4, 4] }
      commits = client.calls.count(:commit_prepared)
      looks = poll_loop_of(@running.last.first).instance_variable_get(:@checkpoints)
      before = looks.instance_variable_get(:@looked_at)
      eventually { client.interrupt || looks.instance_variable_get(:@looked_at) > before + 0.3 }
      expect(client.calls.count(:commit_prepared)).to eq(commits)
    end
  end

  it "is committed with the partition when that is handed over" do
    gate = self.gate
    consumer = working(topic_partition, gate: gate, revoke_timeout: 0)
    client.produce("orders", 0, "slow", "a", "b", "slow", "c")
    eventually { done.size == 3 }
    client.revoke(topic_partition)
    expect(map.runs).to eq([1, 2, 4, 4])
    gate.open
    expect(stop(consumer)).to be(true)
    done.clear
    next_member(%w[slow:0 slow:3])
  end

  it "is passed on whole, however much of it has come in again" do
    maps = WorkShaper.const_get(:OffsetMap)
    messages = Array.new(40) do |offset|
      WorkShaper::Message.new(topic: "orders", partition: 0, offset: offset, leader_epoch: 5)
    end
    finished = (1..39).select { |offset| [2, 3, 5, 6, 7, 8, 12].include?(offset % 13) }
    runs = finished.slice_when { |offset, next_one| next_one > offset + 1 }.flat_map { |run| [run.first, run.last] }
    text = maps.encode(0, runs, 0, *messages.first.__send__(:fingerprint), nil, 7)
    closed = gate
    (1..40).each do |count|
      map = maps.decode(text, 0)
      shaper = fed(messages.first(count), map, ->(_) { :key }, work: ->(*) { closed.pass })
      offset, passed_on = shaper.__send__(:checkpoint, "orders/0", map)
      # Of what came in nothing is finished: the commit stays as it is.
      next expect([offset, count]).to match([nil, be < 3]) unless offset

      read = maps.decode(passed_on, offset)
      expect([offset, (1..39).select { |number| read.finished?(number) }]).to eq([0, finished])
      expect(read.leader_epoch).to eq(count < 40 ? 7 : 5) # as long as something is passed on
    end
  end

  # The last of what came in is the anchor: the next member receives it once more, and lets it pass.
  it "is passed on whole when all that has come in again is finished" do
    maps = WorkShaper.const_get(:OffsetMap)
    messages = Array.new(20) { |offset| WorkShaper::Message.new(topic: "orders", partition: 0, offset: offset) }
    text = maps.encode(0, [3, 4, 8, 8, 12, 14], 0, *messages.first.__send__(:fingerprint))
    (1..15).each do |count|
      map = maps.decode(text, 0)
      shaper = fed(messages.first(count), map)
      eventually { shaper.stats[:in_flight].zero? }
      offset, passed_on = shaper.__send__(:checkpoint, "orders/0", map)
      next expect([offset, passed_on]).to eq([15, nil]) if count == 15 # nothing is left of it

      read = maps.decode(passed_on, offset)
      expect([offset, (offset..19).select { |number| read.finished?(number) }])
        .to eq([count - 1, [count - 1, *[3, 4, 8, 12, 13, 14].select { |number| number >= count }]])
      expect(read.anchor).to eq([count - 1, *messages[count - 1].__send__(:fingerprint)])
      worked = []
      again = fed(messages.drop(offset), read, work: ->(message, *) { worked << message.offset })
      eventually { again.stats[:in_flight].zero? }
      expect([read.over?, again.stats[:total_acked]]).to eq([true, 20 - offset])
      expect(worked).to match_array((count..19).to_a - [3, 4, 8, 12, 13, 14])
    end
  end

  it "is counted as acknowledged by the next member" do
    hung
    @client = client.successor
    consumer = working(topic_partition, gate: gate.tap(&:open))
    eventually { consumer.stats[:total_acked] == 5 }
    expect(consumer.stats).to include(total_enqueued: 5, in_flight: 0)
  end

  it "is asked for again by its key when the anchor is another message: the topic was made again" do
    hung
    log_of_orders = client.instance_variable_get(:@log)[topic_partition]
    log_of_orders.map! do |message|
      WorkShaper::Message.new(topic: "orders", partition: 0, offset: message.offset, key: message.key,
                              payload: message.payload, timestamp: Time.at(1_700_000_000))
    end
    next_member(%w[slow:0 a:1 b:2 slow:3 c:4])
    expect(ignored).to contain_exactly(/another log/)
  end

  # As it was, but written under a later leader, from this offset on.
  def lose_from(offset)
    client.instance_variable_get(:@log)[topic_partition].map! do |message|
      next message if message.offset < offset

      fields = %i[topic partition offset key payload timestamp].to_h { |name| [name, message.public_send(name)] }
      WorkShaper::Message.new(**fields, leader_epoch: 5)
    end
  end

  it "is not believed of what was written under a later leader: the log has lost its end" do
    client.leader_epoch = 4
    hung
    expect(map.leader_epoch).to eq(4)
    lose_from(2)
    next_member(%w[slow:0 b:2 slow:3 c:4])
    expect(ignored).to contain_exactly(/another log/)
  end

  it "is not believed at all when the first message was written under a later leader" do
    client.leader_epoch = 4
    hung
    lose_from(0)
    next_member(%w[slow:0 a:1 b:2 slow:3 c:4])
    expect(ignored).to contain_exactly(/another log/)
  end

  it "is believed under another leader who has lost nothing of it" do
    client.leader_epoch = 4
    hung
    client.leader_epoch = 5
    client.produce("orders", 0, "d")
    next_member(%w[slow:0 slow:3 d:5])
    expect(ignored).to be_empty
  end

  it "says under which leader what came last was written, whoever has acknowledged it" do
    client.leader_epoch = 4
    hung
    @client = client.successor
    client.leader_epoch = 6
    client.produce("orders", 0, "d")
    gate = self.gate
    consumer = working(gate: gate)
    client.assign(topic_partition)
    eventually { client.metadata[topic_partition] && map.runs == [1, 2, 4, 5] }
    expect(map.leader_epoch).to eq(6)
    gate.open
    expect(stop(consumer)).to be(true)
  end

  it "is not believed beyond the end of the log" do
    hung
    client.instance_variable_get(:@log)[topic_partition].pop
    next_member(%w[slow:0 a:1 b:2 slow:3])
    expect(ignored).to contain_exactly(/beyond the end/)
  end

  { "of somebody else" => ["checked by hand", /not WorkShaper's/], "damaged" => [nil, /damaged/],
    "of another version" => ["ws9:abc", /another version/] }.each do |what, (text, reason)|
    it "is ignored with a warning when the text is #{what}" do
      hung
      client.metadata[topic_partition] = text || "#{client.metadata[topic_partition]}!"
      next_member(%w[slow:0 a:1 b:2 slow:3 c:4])
      expect(ignored).to contain_exactly(reason)
    end
  end

  it "is ignored when the group was reset with Kafka's tools, which keep no text" do
    hung
    client.committed[topic_partition] = 2
    client.metadata[topic_partition] = ""
    next_member(%w[b:2 slow:3 c:4])
    expect(ignored).to be_empty
  end

  it "is unknown, and worked on again, when the broker does not answer" do
    hung
    successor = client.successor
    allow(client).to receive(:successor).and_return(successor)
    allow(successor).to receive(:committed).with(any_args) do |places, *|
      raise Rdkafka::RdkafkaError, -185 if places

      successor.instance_variable_get(:@committed)
    end
    next_member(%w[slow:0 a:1 b:2 slow:3 c:4])
    expect(ignored).to contain_exactly(/not known/)
  end
end
