# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "#stats[:repeated_if_killed]" do
  let(:topic_partition) { ["orders", 0] }

  def eventually_repeated(consumer, count)
    eventually(-> { "#{consumer.stats[:repeated_if_killed]}, not #{count} would be repeated" }) do
      consumer.stats[:repeated_if_killed] == count
    end
    expect(consumer.stats[:partitions]["orders/0"][:repeated_if_killed]).to eq(count)
  end

  # As librdkafka's timer does.
  def commit_what_is_stored
    client.within_take { client.__send__(:keep) }
  end

  it "is what runs, what waits to be tried again, and what is finished and not covered by a confirmed commit" do
    gate = self.gate
    client.commit_succeeds = false
    allow(client).to receive(:prepare_commit)
    consumer = running(topic_partition, wait: 60) do |message|
      gate.pass if message.key == "slow"
      raise IOError if message.key == "bad"
    end
    eventually_repeated(consumer, 0)
    client.produce("orders", 0, "a", "slow")
    eventually { client.stored_of("orders", 0).last == 1 }
    client.produce("orders", 0, "b", "c", "bad", "bad", "d")
    eventually_repeated(consumer, 6) # all but the second bad one, which has not begun
    commit_what_is_stored
    eventually_repeated(consumer, 5)
    allow(client).to receive(:prepare_commit).and_call_original
    eventually_repeated(consumer, 2) # the slow one, and the bad one that waits for its next attempt
    allow(client).to receive(:prepare_commit) # nothing is committed before we do
    gate.open
    eventually { client.stored_of("orders", 0).last == 4 }
    eventually_repeated(consumer, 2)
    commit_what_is_stored
    eventually_repeated(consumer, 1)
    client.revoke(topic_partition)
    client.assign(topic_partition)
    eventually_repeated(consumer, 1) # it begins anew
    expect(consumer.stats[:partitions].keys).to eq(%w[orders/0])
  end

  describe "of a process that is killed" do
    # Every fifth message hangs. Prints what it works on; ends itself with SIGKILL when all is done that can be.
    let(:script) { <<~RUBY }
      hanging = %w[3 9]
      worked = Queue.new
      consumer = WorkShaper::Consumer.new(
        config: { "bootstrap.servers": ENV["SERVERS"], "group.id": ENV["GROUP"], "session.timeout.ms": 1500,
                  "heartbeat.interval.ms": 100,
                  "auto.commit.interval.ms": ENV["HANG"] == "committed" ? 2000 : 600_000 },
        topics: ENV["TOPIC"], signals: false, concurrency: 10
      ) do |message|
        $stderr.write("\#{message.payload}\n")
        sleep if hanging.include?(message.payload) && ENV["HANG"]
        worked << message.payload
      end
      Thread.new { consumer.run }
      count = Integer(ENV["COUNT"])
      sleep(0.005) until worked.size == count - (ENV["HANG"] ? 2 : 0)
      sleep(0.005) until consumer.stats[:running] == (ENV["HANG"] ? 2 : 0)
      if ENV["HANG"] == "committed"
        sleep(0.02) until consumer.stats[:repeated_if_killed] == 2
      end
      $stdout.write(consumer.stats[:repeated_if_killed].to_s)
      $stdout.flush
      Process.kill(:KILL, $$)
    RUBY

    # What it worked on, and what it said last.
    def killed(topic, count, hang: nil)
      env = { "SERVERS" => mock.bootstrap_servers, "GROUP" => group, "TOPIC" => topic, "COUNT" => count.to_s,
              "HANG" => hang }
      child = run_ruby("require #{ConsumerHelpers::CHILD.inspect}\n#{script}", limit: 50, env: env)
      [child.stderr.scan(/^\d+$/).map(&:to_i), child.stdout.to_i]
    end

    { "nothing of which is committed" => "now",
      "whose map of finished messages is" => "committed" }.each do |what, hang|
      it "is exactly what the next one works on once more, of one #{what}" do
        topic = mock_topic
        mock.produce_numbered(topic, 40, keys: %w[a b c d e f g h i j k l])
        first, said = killed(topic, 40 - waiting_behind, hang: hang)
        expect(said).to eq(hang == "now" ? first.size : 2)
        again, = killed(topic, said + waiting_behind)
        expect((again & first).size).to eq(said)
      end
    end

    # 3 and 9 hang: what waits behind them has their keys.
    def waiting_behind
      (0...40).count { |n| [3, 9].any? { |hung| n > hung && n % 12 == hung } }
    end
  end
end
