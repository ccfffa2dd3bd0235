# frozen_string_literal: true

require "spec_helper"

# I8: every wait ends on Thread#kill, Thread#raise and Timeout, and leaves the manager whole.
RSpec.describe "Interrupting a wait" do
  # Each way is Ruby code which interrupts the `thread` that waits, and what then must be true of it.
  ways = {
    "Thread#kill" => ["thread.kill", "same(nil, ended(thread).value, 'the killed one')"],
    "Thread#raise" => ["thread.raise(IOError, 'out of there')", "raised(IOError) { ended(thread).value }"],
    "Timeout" => ["", "raised(Timeout::Error) { ended(thread).value }"]
  }
  # With Timeout the wait itself has the limit.
  wrap = lambda do |way, wait|
    way == "Timeout" ? "asleep_or_over_in { Timeout.timeout(0.4) { #{wait} } }" : "asleep_in { #{wait} }"
  end

  ways.each do |way, (interrupt, outcome)|
    it "lets go of enqueue on a full sub key by #{way}, changing nothing" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: gated(gate, 0), max_in_queue: 2)
        m.enqueue(:key, nil, 0, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        [1, 2].each { |offset| m.enqueue(:key, nil, 0, offset) }
        before = m.stats
        thread = #{wrap.call(way, "m.enqueue(:key, nil, 0, 3)")}
        #{interrupt}
        #{outcome}
        after = m.stats
        %i[total_enqueued in_flight waiting running sub_keys].each { |name| same(before[name], after[name], name) }
        m.enqueue(:other, nil, 0, 4)
        gate.close
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1, 2, 4], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end

    it "lets go of enqueue at max_in_flight by #{way}, changing nothing" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(work: gated(gate, 0, 1, 2), max_in_flight: 3)
        3.times { |offset| m.enqueue(offset, nil, 0, offset) }
        threads = Array.new(3) { |n| asleep_in { m.enqueue([:waits, n], nil, 1, n) } }
        thread = #{wrap.call(way, "m.enqueue(:key, nil, 0, 3)")}
        #{interrupt}
        #{outcome}
        same(3, m.total_enqueued, "enqueued")
        gate.close
        threads.each { |one| same(true, ended(one).value, "another that waited") }
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1, 2], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end

    it "gives the place to the next when the first who waits goes by #{way}" do
      expect_child_to_pass(<<~RUBY)
        100.times do |round|
          gate = Queue.new
          m = manager(work: gated(gate, 0), max_in_flight: 1)
          m.enqueue(:key, nil, 0, 0)
          thread = #{wrap.call(way, "m.enqueue(:first, nil, 0, 1)")}
          second = asleep_in { m.enqueue(:second, nil, 0, 2) }
          # The place comes free at the same moment at which the first is interrupted.
          gate.close
          (round % 10).times { Thread.pass }
          #{interrupt}
          begin
            ended(thread).value
          rescue IOError, Timeout::Error
            nil
          end
          same(true, ended(second).value, "the second")
          same(true, m.shutdown(timeout: 10), "shutdown")
          worked.clear
        end
        passed
      RUBY
    end

    { "drain" => "m.drain", "shutdown" => "m.shutdown" }.each do |name, call|
      it "lets go of #{name} by #{way}" do
        expect_child_to_pass(<<~RUBY)
          gate = Queue.new
          m = manager(work: gated(gate, 1))
          3.times { |offset| m.enqueue(offset, nil, 0, offset) }
          thread = #{wrap.call(way, call)}
          other = asleep_in { #{call} }
          #{interrupt}
          #{outcome}
          gate.close
          same(true, ended(other).value, "another #{name}")
          same(#{name == "shutdown"}, m.shutting_down?, "shutting down")
          same([0, 1, 2], acked[0], "acked")
          same(true, m.shutdown(timeout: 10), "shutdown")
          wait_until("no thread left") { manager_threads.empty? }
          passed
        RUBY
      end
    end

    it "lets go of revoke, which waits for an ack, by #{way}" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(ack: ->(partition, offset) { gate.pop; acked[partition] << offset })
        m.enqueue(:key, nil, 0, 0)
        wait_until("in ack") { gate.num_waiting == 1 }
        thread = #{wrap.call(way, "m.revoke(0)")}
        #{interrupt}
        #{outcome}
        # I6: the ack is still under way, so whoever asks again has to wait for it as well.
        again = asleep_in { m.revoke(0) }
        gate.close
        same([], ended(again).value, "revoke once more")
        expect_intact(m)
        passed
      RUBY
    end

    it "lets go of flush, which waits for an ack that it asked for, by #{way}" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(ack: ->(partition, offset) { acked[partition] << offset; gate.pop }, offset_commit_period_ms: 600_000)
        # The first makes the acknowledger rest for a tick that never ends here.
        gate << :first
        m.enqueue(:key, nil, 0, 0)
        wait_until("acked") { m.total_acked == 1 }
        [1, 2].each { |offset| m.enqueue(:key, nil, 0, offset) }
        wait_until("worked") { worked.size == 3 && m.stats[:running].zero? }
        thread = #{wrap.call(way, "m.flush")}
        wait_until("in ack") { gate.num_waiting == 1 || !thread.alive? }
        #{interrupt}
        #{outcome}
        gate.close
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1, 2], acked[0].uniq, "acked")
        same(acked[0].sort, acked[0], "acked in order")
        expect_intact(m)
        passed
      RUBY
    end

    it "lets go of flush, which waits while another thread is inside ack, by #{way}" do
      expect_child_to_pass(<<~RUBY)
        gate = Queue.new
        m = manager(ack: ->(partition, offset) { gate.pop; acked[partition] << offset })
        2.times { |offset| m.enqueue(:key, nil, 0, offset) }
        wait_until("in ack") { gate.num_waiting == 1 }
        thread = #{wrap.call(way, "m.flush")}
        other = asleep_in { m.flush }
        #{interrupt}
        #{outcome}
        gate.close
        check(ended(other).value.between?(1, 2), "another flush")
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "ends a shutdown in time when work hangs, and goes on in the background" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0))
      m.enqueue(:key, nil, 0, 0)
      same(false, m.drain(timeout: 0), "drain without patience")
      same(false, m.drain(timeout: 0.05), "drain")
      same(false, m.shutdown(timeout: 0.05), "shutdown")
      same(false, m.shutdown(timeout: 0), "shutdown without patience")
      gate.close
      wait_until("winds down by itself") { manager_threads.empty? }
      same(true, m.shutdown, "shutdown once more")
      same([0], acked[0], "acked")
      passed
    RUBY
  end

  it "turns away everybody who waits to enqueue when it shuts down" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0), max_in_flight: 2, max_in_queue: 1)
      m.enqueue(:key, nil, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      m.enqueue(:key, nil, 0, 1)
      waiting = Array.new(4) { |n| asleep_in { m.enqueue(n.even? ? :key : n, nil, 0, 2 + n) } }
      waiting << asleep_in { m.enqueue(:timed, nil, 0, 9, timeout: 100) }
      m.request_shutdown
      waiting.each { |thread| raised(WorkShaper::ShuttingDown) { ended(thread).value } }
      gate.close
      same(true, m.shutdown(timeout: 10), "shutdown")
      same([0, 1], acked[0], "acked")
      passed
    RUBY
  end
end
