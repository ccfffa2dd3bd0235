# frozen_string_literal: true

require "spec_helper"
require "work_shaper/consumer"

RSpec.describe WorkShaper::Consumer, "when it is to stop" do
  let(:topic_partition) { ["orders", 0] }
  let(:done) { [] }

  # Works on all; "slow" waits at the gate.
  def gated(gate)
    lambda do |message|
      gate.pass if message.key == "slow"
      done << message.payload
    end
  end

  # It has one running ("slow"), waiting behind it two others of its key, and is done with the rest: one of those that
  # wait has finished offsets above it.
  def busy(gate, **options)
    running(topic_partition, **options, &gated(gate)).tap do |consumer|
      client.produce("orders", 0, "a", "slow", "b", "slow", "c", "slow")
      eventually do
        done.size == 3 && consumer.stats.values_at(:running, :waiting) == [1, 2] &&
          client.stored_of(*topic_partition) == [1]
      end
    end
  end

  def stopping(consumer)
    consumer.stop
    eventually { poll_loop_of(consumer).instance_variable_get(:@stops).positive? }
    takes = client.takes
    eventually { client.takes > takes + 2 }
  end

  it "finishes what runs and what is below finished offsets, commits it all, and drops what waits beyond" do
    gate = self.gate
    consumer = busy(gate)
    stopping(consumer)
    expect(thread_of(consumer)).to be_alive
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(done).to match_array(%w[a:0 b:2 c:4 slow:1 slow:3])
    expect(client.committed).to eq(topic_partition => 5)
    expect(client).to be_closed
  end

  it "works on what waits, too, with drain" do
    gate = self.gate
    consumer = busy(gate, drain: true)
    stopping(consumer)
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(done).to match_array(%w[a:0 b:2 c:4 slow:1 slow:3 slow:5])
    expect(done.grep(/slow/)).to eq(%w[slow:1 slow:3 slow:5])
    expect(client.committed).to eq(topic_partition => 6)
  end

  it "takes nothing in any more, but keeps polling" do
    gate = self.gate
    consumer = busy(gate, drain: true)
    stopping(consumer)
    client.produce("orders", 0, "late")
    turns(10)
    expect(consumer.stats[:total_enqueued]).to eq(6)
    expect(client.paused_partitions).to eq([topic_partition])
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(done).not_to include("late:6")
    expect(client.committed).to eq(topic_partition => 6)
  end

  it "answers rebalances while it waits for what runs" do
    gate = self.gate
    consumer = busy(gate, revoke_timeout: 0)
    client.assign(["orders", 1])
    stopping(consumer)
    client.revoke(topic_partition)
    expect(consumer.stats[:assignment]).to eq(%w[orders/1])
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(client.committed.fetch(topic_partition, 0)).to be <= 1
  end

  it "leaves what comes to it meanwhile alone" do
    gate = self.gate
    consumer = busy(gate)
    stopping(consumer)
    client.produce("orders", 7, "other")
    client.assign(["orders", 7])
    turns(5)
    gate.open
    expect(value_of(thread_of(consumer))).to be(true)
    expect(done).not_to include("other:0")
    expect(client.committed).not_to include(["orders", 7])
  end

  it "closes on the polling thread, after the last commit, and commits once" do
    consumer = running(topic_partition)
    stop(consumer)
    expect(client.calls.tally).to include(commit: 1, close: 1)
    expect(client.calls.index(:commit)).to be < client.calls.index(:close)
    expect(client.misuse).to be_empty # which knows of calls from two threads
  end

  it "leaves no thread" do
    10.times do
      @client = nil
      gate = self.gate
      consumer = running(topic_partition, concurrency: 20) { gate.pass }
      client.produce("orders", 0, *Array.new(30, &:to_s))
      eventually { gate.waiting == 20 }
      gate.open
      stop(consumer)
      expect(manager_threads - @threads_before_consumers).to be_empty
    end
  end

  it "stops at once when it is idle" do
    replace_constant(inner(:PollLoop), :IDLE_WAIT, 12_000)
    consumer = running(topic_partition)
    began = ManagerHelpers.now
    expect(stop(consumer)).to be(true)
    expect(ManagerHelpers.now - began).to be < 5
  end

  describe "within shutdown_timeout" do
    it "returns false when that passes; what ends later is not stored" do
      gate = self.gate
      consumer = busy(gate, shutdown_timeout: 0.2)
      began = ManagerHelpers.now
      consumer.stop
      expect(value_of(thread_of(consumer))).to be(false)
      expect(ManagerHelpers.now - began).to be_between(0.2, 10)
      expect(client).to be_closed
      gate.open
      eventually { done.include?("slow:1") }
      eventually { manager_threads.empty? }
      expect(client.committed).to eq(topic_partition => 1)
    end

    it "does not store what ends while it commits and closes, either" do
      gate = self.gate
      consumer = busy(gate, shutdown_timeout: 0.1)
      client.on_commit = lambda do |_offsets, _milliseconds|
        gate.open
        sleep ManagerHelpers::POLL_SEC until done.include?("slow:1")
        poll_loop_of(consumer).instance_variable_get(:@pool).flush
        true
      end
      expect(stop(consumer)).to be(false)
      expect(client.stored_of(*topic_partition)).to eq([1])
      expect(client.refused).to be_empty
    end

    it "does not wait at all when it is 0" do
      gate = self.gate
      consumer = busy(gate, shutdown_timeout: 0)
      began = ManagerHelpers.now
      expect(stop(consumer)).to be(false)
      expect(ManagerHelpers.now - began).to be < 5
      expect(client.committed).to eq(topic_partition => 1)
    end

    it "commits what was finished when work hangs for ever" do
      consumer = running(topic_partition, shutdown_timeout: 0.1) do |message|
        message.key == "hang" ? sleep : done << message.payload
      end
      client.produce("orders", 0, "a", "b", "hang", "c")
      eventually { done.size == 3 }
      expect(stop(consumer)).to be(false)
      expect(client.committed).to eq(topic_partition => 2)
      worker_threads.each(&:kill)
    end

    it "returns false with drain when what waits was not finished" do
      gate = self.gate
      consumer = busy(gate, drain: true, shutdown_timeout: 0.2)
      expect(stop(consumer)).to be(false)
      expect(client.committed).to eq(topic_partition => 1)
    end

    it "may be unlimited" do
      gate = self.gate
      consumer = busy(gate, shutdown_timeout: Float::INFINITY)
      stopping(consumer)
      gate.open
      expect(value_of(thread_of(consumer))).to be(true)
    end
  end

  describe "#stop" do
    it "returns nil, whenever it is called" do
      consumer = fake_consumer
      expect(consumer.stop).to be_nil
      start(consumer)
      expect(consumer.stop).to be_nil
      value_of(thread_of(consumer))
      expect(consumer.stop).to be_nil
    end

    it "before run makes that return at once" do
      consumer = fake_consumer
      consumer.stop
      began = ManagerHelpers.now
      start(consumer)
      expect(value_of(thread_of(consumer))).to be(true)
      expect(ManagerHelpers.now - began).to be < 5
      expect(client).to be_closed
    end

    it "before it has joined the group keeps it from joining: no rebalance for nothing" do
      client.answered = false
      consumer = running
      eventually { client.calls.include?(:reachable) }
      expect(stop(consumer)).to be(true)
      expect(client.calls).not_to include(:subscribe)
      expect(client).to be_closed
    end

    it "a second time hurries: what runs is not waited for, nor stored" do
      gate = self.gate
      consumer = busy(gate)
      stopping(consumer)
      began = ManagerHelpers.now
      consumer.stop
      expect(value_of(thread_of(consumer))).to be(false)
      expect(ManagerHelpers.now - began).to be < 5
      gate.open
      eventually { done.include?("slow:1") }
      expect(client.committed).to eq(topic_partition => 1)
    end

    it "many times is the same as twice" do
      gate = self.gate
      consumer = busy(gate)
      20.times { consumer.stop }
      expect(value_of(thread_of(consumer))).to be(false)
      expect(client).to be_closed
    end

    it "can be called from within work" do
      consumer = running(topic_partition) do |message|
        done << message.payload
        consumer.stop if message.key == "last"
      end
      client.produce("orders", 0, "a", "last")
      expect(value_of(thread_of(consumer))).to be(true)
      expect(client.committed).to eq(topic_partition => 2)
    end

    it "can be called from on_error, around, sub_key and a rebalance listener" do
      callers = {
        on_error: ->(consumer) { { on_error: ->(*) { consumer.call.stop } } },
        around: ->(consumer) { { around: ->(_message, &_work) { consumer.call.stop } } },
        sub_key: ->(consumer) { { sub_key: ->(_message) { consumer.call.stop } } }
      }
      callers.each_value do |options|
        @client = nil
        consumer = running(topic_partition, **options.call(-> { consumer })) { raise "broken" }
        client.produce("orders", 0, "a")
        expect(value_of(thread_of(consumer))).to be(true)
      end
    end

    it "can be called from a trap" do
      consumer = running(topic_partition)
      before = Signal.trap("USR2") { consumer.stop }
      Process.kill("USR2", Process.pid)
      expect(value_of(thread_of(consumer))).to be(true)
    ensure
      Signal.trap("USR2", before || "DEFAULT")
    end
  end

  describe "because something is raised into the thread that is in run" do
    endings = {
      "Thread#raise" => ->(thread) { thread.raise(IOError, "from outside") },
      "Thread#kill" => :kill.to_proc
    }
    endings.each do |name, ending|
      it "(#{name}) it does so in order" do
        gate = self.gate
        consumer = busy(gate)
        ending.call(thread_of(consumer))
        takes = client.takes
        eventually { client.takes > takes + 2 }
        gate.open
        eventually { !thread_of(consumer).alive? }
        expect(client.committed).to eq(topic_partition => 5)
        expect(client).to be_closed
        expect(failure_of(consumer)).to be_a(IOError) if name == "Thread#raise"
      end
    end

    it "(Timeout) it does so in order, and the error propagates" do
      consumer = fake_consumer { |message| done << message.payload }
      client.produce("orders", 0, "a")
      thread = in_thread { Timeout.timeout(3) { consumer.run } } # it has begun to work by then
      client.assign(topic_partition)
      eventually { client.stored_of(*topic_partition) == [1] }
      expect { value_of(thread) }.to raise_error(Timeout::Error)
      expect(client.committed).to eq(topic_partition => 1)
      expect(client).to be_closed
    end

    it "again and again, it does so all the same" do
      gate = self.gate
      consumer = busy(gate)
      thread_of(consumer).raise(IOError, "first")
      takes = client.takes
      eventually { client.takes > takes + 2 }
      thread_of(consumer).raise(IOError, "second")
      gate.open
      expect(failure_of(consumer)).to be_a(IOError)
      eventually { client.closed? }
    end
  end

  it "can be run once only" do
    consumer = running(topic_partition)
    expect { consumer.run }.to raise_error(WorkShaper::Error, /runs once/)
    expect(stop(consumer)).to be(true)
    expect { consumer.run }.to raise_error(WorkShaper::Error, /runs once/)
  end

  describe "and its last commit" do
    # It has finished two messages.
    def finished(**options)
      running(topic_partition, **options) { |message| done << message.payload }.tap do
        client.produce("orders", 0, "a", "b")
        eventually { client.stored_of("orders", 0).last == 2 }
      end
    end

    # So many seconds at most until it is confirmed.
    def patient_for(seconds)
      %i[COMMIT_TIME REBALANCE_TIME].each { |name| replace_constant(inner(:Departure), name, seconds) }
    end

    it "is of all that is stored, and of no partition of which nothing is" do
      asked = []
      client.on_commit = ->(offsets, _milliseconds) { asked << offsets }
      consumer = finished
      client.assign(["orders", 1])
      expect(stop(consumer)).to be(true)
      expect(asked).to eq([{ topic_partition => 2 }])
    end

    it "is not confirmed, says so in the return value and the log" do
      patient_for(0.2)
      client.on_commit = ->(_offsets, _milliseconds) { false }
      consumer = finished(shutdown_timeout: 0.1)
      expect(stop(consumer)).to be(false)
      expect(log.entries(/commit/, "WARN").size).to eq(1)
      expect(client).to be_closed
    end

    it "is not confirmed for a while, as in a rebalance, tries again and polls meanwhile" do
      answers = [false, nil, false, true]
      client.on_commit = ->(_offsets, _milliseconds) { answers.shift }
      expect(stop(finished)).to be(true)
      expect(client.calls.drop_while { |call| call != :commit }.first(7)).to eq([*(%i[commit take] * 3), :commit])
      expect(log.entries(/commit/)).to be_empty
    end

    it "is not confirmed, does not wait after a second stop" do
      patient_for(600)
      client.on_commit = ->(_offsets, _milliseconds) { false }
      consumer = finished
      consumer.stop
      eventually { client.calls.count(:commit) > 2 }
      expect(stop(consumer)).to be(false)
      expect(client).to be_closed
    end

    it "is not confirmed, waits for no longer than librdkafka has for an answer" do
      given = []
      patient_for(0.2)
      client.on_commit = ->(_offsets, milliseconds) { given << milliseconds and false }
      expect(stop(finished(shutdown_timeout: 0))).to be(false)
      expect(given).to all(be_between(1, 200))
    end

    { true => "for longer when a broker answers: a rebalance may hold it up",
      false => "for no longer when no broker answers" }.each do |answered, how|
      it "is not confirmed within COMMIT_TIME, waits #{how}" do
        replace_constant(inner(:Departure), :COMMIT_TIME, 0.1)
        asked = 0
        client.on_commit = lambda do |_offsets, _milliseconds|
          client.answered = answered
          (asked += 1) > 4
        end
        expect(stop(finished)).to be(answered)
        expect(client.calls).to include(:reachable)
      end
    end

    it "is done by librdkafka when its partition goes meanwhile" do
      client.on_commit = lambda do |_offsets, _milliseconds|
        client.on_commit = nil
        client.later { client.revoke_now(topic_partition) && nil }
        false
      end
      expect(stop(finished)).to be(true)
      expect(client.committed).to eq(topic_partition => 2)
    end

    it "is confirmed before the partitions are given back, and then the client is closed" do
      assigned = nil
      client.on_close = -> { assigned = client.assigned.any? }
      expect(stop(finished)).to be(true)
      expect(client.calls & %i[commit unsubscribe close]).to eq(%i[commit unsubscribe close])
      expect(assigned).to be(false)
    end
  end

  it "waits for an assignment that is on its way: librdkafka cannot take it back while it is being closed" do
    assigned = nil
    client.on_close = -> { assigned = client.assigned.any? }
    consumer = running
    client.on_commit = ->(*) { client.later { client.assign_now(topic_partition) } }
    expect(stop(consumer)).to be(true)
    expect(assigned).to be(false)
    expect(log.entries(/Assigned/)).to be_empty
  end

  it "closes all the same when the partitions do not go" do
    replace_constant(inner(:Departure), :PARTING_TIME, 0.2)
    client.define_singleton_method(:unsubscribe) { nil }
    consumer = running(topic_partition)
    expect(stop(consumer)).to be(true)
    expect(client).to be_closed
  end

  it "is out of its group before it closes" do
    looks = 0
    client.define_singleton_method(:member?) { (looks += 1) < 5 }
    closed_after = nil
    client.on_close = -> { closed_after = looks }
    expect(stop(running(topic_partition))).to be(true)
    expect(closed_after).to eq(5)
  end

  it "does not wait for that when no broker answers" do
    replace_constant(inner(:Departure), :PARTING_TIME, 600)
    replace_constant(inner(:Departure), :PATIENCE, 0.1)
    client.define_singleton_method(:member?) { true }
    consumer = running(topic_partition)
    client.answered = false
    expect(stop(consumer)).to be(true)
    expect(client).to be_closed
  end

  it "keeps its partitions up to the end as a static member: the group waits for it to come back" do
    consumer = running(topic_partition, config: { "group.instance.id": "one" })
    expect(stop(consumer)).to be(true)
    expect(client.calls).not_to include(:unsubscribe)
    expect(client).to be_closed
  end

  it "raises what closing raises" do
    client.on_close = -> { raise IOError, "cannot close" }
    consumer = without_thread_reports { running(topic_partition) }
    consumer.stop
    expect(failure_of(consumer)).to be_a(IOError)
    eventually { manager_threads.empty? }
  end
end
