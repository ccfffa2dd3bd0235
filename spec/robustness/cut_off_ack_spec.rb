# frozen_string_literal: true

require "spec_helper"

# A rebalance comes while `ack` is under way, and then `ack` is cut off: no broker answers, somebody loses patience.
RSpec.describe "An ack that is cut off while its partition is revoked" do
  # Each round: `count` messages of a new partition are finished, `ack` of the first is under way, the partition is
  # revoked (the revoke waits), and the acknowledger is killed.
  prelude = <<~RUBY
    in_ack = Queue.new
    acks = []
    hanging_ack = lambda do |partition, offset|
      acks << [partition, offset]
      next true unless partition.is_a?(Integer)

      in_ack << Thread.current
      sleep
    end
    all_finished = ->(m) { wait_until("finished") { m.stats.values_at(:running, :waiting).sum.zero? } }
    adds_up = lambda do |m, what|
      stats = m.stats
      same(stats[:total_enqueued], stats.values_at(:total_acked, :total_dropped, :in_flight).sum, "sum \#{what}")
    end
  RUBY
  round = <<~RUBY
    lambda do |m, number, count|
      count.times { |offset| m.enqueue(offset, nil, number, offset, timeout: 5) }
      victim = in_ack.pop
      same("work_shaper acknowledger", victim.name, "thread of ack")
      all_finished.call(m)
      revoking = asleep_in { m.revoke(number) }
      victim.kill
      ended(victim)
      same([], ended(revoking).value, "dropped")
    end
  RUBY

  %i[every latest].each do |acks|
    it "leaves nothing in flight, with acks: #{acks.inspect} (I5)" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        m = manager(acks: #{acks.inspect}, max_in_flight: 40, ack: hanging_ack)
        round = #{round}
        12.times do |number|
          round.call(m, number, 8)
          same(0, m.stats[:in_flight], "in flight after round \#{number}")
          adds_up.call(m, "after round \#{number}")
        end
        same([], m.stats[:partitions].keys, "partitions")
        40.times { |n| m.enqueue(n, nil, :after, n, timeout: 0.5) }
        same(true, m.drain(timeout: 10), "drain")
        same(nil, m.stats[:fatal], "fatal")
        adds_up.call(m, "at the end")
        expect_intact(m)
        passed
      RUBY
    end

    it "leaves the partition as new when it comes back meanwhile, with acks: #{acks.inspect} (I5, I6)" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        m = manager(acks: #{acks.inspect}, max_in_flight: 10, ack: hanging_ack)
        5.times do |number|
          5.times { |offset| m.enqueue(offset, nil, number, offset + 100) }
          victim = in_ack.pop
          all_finished.call(m)
          revoking = asleep_in { m.revoke(number) }
          # It is back before the old `ack` is over; a limit that leaks would not let these in.
          5.times { |offset| m.enqueue(offset, nil, number, offset, timeout: 5) }
          all_finished.call(m)
          victim.kill
          ended(victim)
          ended(revoking)
          again = in_ack.pop
          check(acks.last[0] == number && acks.last[1] < 100, "what is new is acknowledged: \#{acks.last}")
          same(5, m.stats[:in_flight], "in flight")
          adds_up.call(m, "while back")
          last = asleep_in { m.revoke(number) }
          again.kill
          ended(again)
          ended(last)
          same(0, m.stats[:in_flight], "in flight after the second revoke")
          adds_up.call(m, "after the second revoke")
        end
        expect_intact(m)
        passed
      RUBY
    end

    it "leaves nothing in flight when something is raised into ack instead, with acks: #{acks.inspect} (I5)" do
      expect_child_to_pass(<<~RUBY, stderr: //)
        #{prelude}
        m = manager(acks: #{acks.inspect}, ack: hanging_ack)
        8.times { |offset| m.enqueue(offset, nil, 0, offset) }
        victim = in_ack.pop
        all_finished.call(m)
        revoking = asleep_in { m.revoke(0) }
        victim.raise(Exception, "into ack")
        same([], ended(revoking).value, "dropped")
        wait_until("settled") { m.stats[:in_flight].zero? }
        adds_up.call(m, "at the end")
        m.shutdown(timeout: 10)
        wait_until("no thread left") { manager_threads.empty? }
        passed
      RUBY
    end

    it "counts what was dropped beside it once, with acks: #{acks.inspect} (I5)" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        gate = Queue.new
        m = manager(acks: #{acks.inspect}, concurrency: 2, ack: hanging_ack,
                    work: ->(message, *) { gate.pop if message == :held })
        4.times { |offset| m.enqueue(:key, nil, 0, offset) }
        victim = in_ack.pop
        all_finished.call(m)
        2.times { |n| m.enqueue([:held, n], :held, 0, 10 + n) }
        wait_until("at work") { gate.num_waiting == 2 }
        3.times { |n| m.enqueue([:waits, n], nil, 0, 20 + n) }
        revoking = asleep_in { m.revoke(0) }
        victim.kill
        ended(victim)
        same([20, 21, 22], ended(revoking).value.map(&:last), "dropped")
        gate.close
        wait_until("nothing in flight") { m.stats[:in_flight].zero? }
        same(9, m.stats.values_at(:total_acked, :total_dropped).sum, "acked and dropped")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "takes no room away permanently, with a rebalance every time the limit is reached (I7)" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      m = manager(max_in_flight: 5, ack: hanging_ack)
      round = #{round}
      20.times { |number| round.call(m, number, 5) }
      5.times { |n| m.enqueue(:key, nil, :after, n, timeout: 5) }
      expect_intact(m)
      passed
    RUBY
  end
end
