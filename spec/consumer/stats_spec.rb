# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "what it reports about itself" do
  let(:topic_partition) { ["orders", 0] }

  # It has one message at work, until the gate opens.
  def at_work(gate, **options)
    running(topic_partition, **options) { gate.pass }.tap do
      client.produce("orders", 0, "a")
      eventually { gate.waiting == 1 }
    end
  end

  describe "#stats" do
    it "is empty before run" do
      expect(fake_consumer.stats).to eq({})
    end

    it "has the manager's numbers, and the assignment with its partitions" do
      gate = self.gate
      consumer = running(topic_partition, ["orders", 1]) { |message| gate.pass if message.key == "slow" }
      client.produce("orders", 0, "a", "slow", "a", "slow")
      eventually { consumer.stats[:partitions].dig("orders/0", :last_acked) == 0 && gate.waiting == 1 }
      eventually { consumer.stats.values_at(:running, :waiting) == [1, 1] }
      eventually { consumer.stats[:partitions]["orders/0"][:lag] == 3 } # brokers were asked
      stats = consumer.stats
      expect(stats).to include(total_enqueued: 4, in_flight: 3, running: 1, waiting: 1, errors: 0, paused: [],
                               fatal: nil, shutting_down: false)
      expect(stats[:assignment]).to eq(%w[orders/0 orders/1])
      expect(stats[:partitions]["orders/0"]).to include(last_acked: 0, received: 4, oldest_unfinished: 1, lag: 3)
    end

    it "counts the lag up to the end of the partition, including what was not taken yet" do
      gate = self.gate
      consumer = running(topic_partition, max_in_flight: 5, concurrency: 1) { gate.pass }
      client.produce("orders", 0, *Array.new(300, &:to_s))
      eventually { consumer.stats[:partitions].dig("orders/0", :lag) == 300 }
      expect(consumer.stats[:in_flight]).to be < 300
      gate.open
      eventually { consumer.stats[:partitions].dig("orders/0", :lag).zero? }
    end

    it "counts all that is finished behind a slow message, though that is kept as runs" do
      gate = self.gate
      consumer = running(topic_partition) { |message| gate.pass if message.key == "slow" }
      client.produce("orders", 0, "slow", *Array.new(300, &:to_s))
      eventually { consumer.stats.values_at(:in_flight, :running, :waiting) == [301, 1, 0] }
      eventually { consumer.stats[:partitions]["orders/0"][:lag] == 301 }
      expect(consumer.stats[:partitions]["orders/0"]).to include(running: 1, waiting: 0, finished_beyond: 300)
      gate.open
      eventually { consumer.stats[:partitions]["orders/0"][:lag].zero? }
    end

    it "has the age of the oldest message that is not finished" do
      gates = gates_by_name
      consumer = running(topic_partition, ["orders", 1]) { |message| gates[message.partition].pass }
      expect(consumer.stats[:oldest_age_sec]).to be_nil
      client.produce("orders", 0, "a")
      eventually { consumer.stats[:oldest_age_sec].to_f > 0.1 }
      client.produce("orders", 1, "b")
      eventually { consumer.stats[:partitions].key?("orders/1") }
      expect(consumer.stats[:oldest_age_sec]).to be > 0.1
      gates[0].open
      eventually { consumer.stats[:partitions]["orders/0"][:oldest_age_sec].nil? }
      stats = consumer.stats
      expect(stats[:oldest_age_sec]).to eq(stats[:partitions]["orders/1"][:oldest_age_sec])
      gates[1].open
      eventually { consumer.stats[:oldest_age_sec].nil? }
    end

    it "is there after run, with nothing assigned any more" do
      consumer = running(topic_partition)
      client.produce("orders", 0, "a", "b")
      eventually { client.offset_of(*topic_partition) == 2 }
      stop(consumer)
      expect(consumer.stats).to include(total_enqueued: 2, total_acked: 2, assignment: [], paused: [], partitions: {},
                                        oldest_age_sec: nil, errors: 0)
      expect(consumer.stats.keys).to include(:kafka, :commits)
    end

    it "names no partition that was paused to the end" do
      gate = self.gate
      consumer = at_work(gate)
      consumer.stop
      eventually { consumer.stats[:paused] == ["orders/0"] }
      gate.open
      expect(value_of(thread_of(consumer))).to be(true)
      expect(consumer.stats).to include(assignment: [], paused: [])
    end

    it "shows no message in place of a sub key" do
      gate = self.gate
      consumer = running(topic_partition, sub_key: ->(_message) {}) { gate.pass }
      client.produce("orders", 0, "secret")
      eventually { gate.waiting == 1 }
      expect(consumer.stats[:partitions]["orders/0"]).to include(oldest_unfinished: 0, oldest_sub_key: nil)
    end

    it "can be asked from anywhere at any time" do
      stop = false
      consumer = fake_consumer { Thread.pass }
      threads = Array.new(3) do
        in_thread do
          until stop
            consumer.stats
            sleep ManagerHelpers::POLL_SEC
          end
        end
      end
      start(consumer)
      10.times do
        client.assign(topic_partition)
        client.produce("orders", 0, *Array.new(20, &:to_s))
        client.revoke(topic_partition)
      end
      stop(consumer)
      stop = true
      expect { threads.each { |thread| value_of(thread) } }.not_to raise_error
    end

    it "asks nothing of a broker, on the mock cluster" do
      topic = mock_topic(partitions: 2)
      mock.produce_numbered(topic, 7)
      gate = self.gate
      consumer = mock_consumer(topic) { |message| gate.pass if message.offset == 4 }
      start(consumer)
      eventually { consumer.stats[:partitions]&.dig("#{topic}/0", :lag) == 3 }
      mock.down
      times = Array.new(3) do
        began = ManagerHelpers.now
        consumer.stats
        ManagerHelpers.now - began
      end
      expect(times.min).to be < 0.5
      expect(consumer.stats[:assignment]).to contain_exactly("#{topic}/0", "#{topic}/1")
    ensure
      mock.up
    end
  end

  describe "#healthy?" do
    it "is false before and after run, true in it" do
      consumer = fake_consumer
      expect(consumer).not_to be_healthy
      start(consumer)
      client.assign(topic_partition)
      expect(consumer).to be_healthy
      stop(consumer)
      expect(consumer).not_to be_healthy
    end

    def expect_to_turn(consumer)
      before = poll_loop_of(consumer).turned_at
      turns(20)
      expect(poll_loop_of(consumer).turned_at).to be > before
      expect(consumer).to be_healthy
    end

    it "is true however busy the workers are" do
      gate = self.gate
      consumer = at_work(gate, concurrency: 2, max_in_flight: 5)
      expect_to_turn(consumer)
      client.produce("orders", 0, *Array.new(20, &:to_s))
      expect_to_turn(consumer)
    end

    it "is true while it winds down" do
      gate = self.gate
      consumer = at_work(gate)
      consumer.stop
      eventually { consumer.stats[:shutting_down] }
      expect_to_turn(consumer)
      gate.open
      expect(value_of(thread_of(consumer))).to be(true)
    end

    it "is false when the loop hangs for longer than it may" do
      gate = self.gate
      consumer = running(topic_partition)
      hanging = in_thread { client.within_take { gate.pass } }
      eventually { gate.waiting == 1 }
      eventually { !consumer.healthy?(max_silence: 0.2) }
      expect(consumer).to be_healthy(max_silence: 30)
      gate.open
      value_of(hanging)
      eventually { consumer.healthy?(max_silence: 0.2) }
    end

    it "is false when run has failed" do
      consumer = running(topic_partition)
      client.fail_with(-150, "fenced")
      failure_of(consumer)
      expect(consumer).not_to be_healthy
    end
  end
end
