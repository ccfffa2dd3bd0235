# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Killing any thread at any moment" do
  seed = Integer(ENV.fetch("SEED") { Random.new_seed % 1_000_000_000 })

  # A worker that was at work makes the manager fail, which it must then say; otherwise nothing may be lost.
  it "lets many managers end, also right after their threads were made (SEED=#{seed})" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      random = Random.new(#{seed})
      150.times do |round|
        worked = []
        acks = []
        m = manager(concurrency: 4, max_in_queue: 5, max_in_flight: 12,
                    work: ->(_, _, offset) { Thread.pass if offset.odd?; worked << offset },
                    ack: ->(_, offset) { acks << offset })
        feeder = Thread.new do
          50.times { |offset| m.enqueue(offset % 5, nil, 0, offset) }
        rescue WorkShaper::ShuttingDown
          nil # a worker was killed at work before this thread's own kill reached it
        end
        feeder.report_on_exception = false
        random.rand(0..40).times { Thread.pass }
        (Thread.list - [Thread.current]).shuffle(random: random).each(&:kill)
        ended(feeder)
        done = m.shutdown(timeout: 10)
        stats = m.stats
        same(stats[:fatal].nil?, done, "shutdown of round \#{round}, \#{stats}")
        same(stats[:total_enqueued], stats[:total_acked], "acked of round \#{round}") if done
        same((0...stats[:total_enqueued]).to_a, worked.sort, "worked in round \#{round}") if done
        check(acks.each_cons(2).all? { |one, other| one <= other }, "acks never go back: \#{acks}")
        check((acks - worked).empty?, "acked what was not finished: \#{acks - worked}")
      end
      wait_until("no thread left") { Thread.list.size == 1 }
      passed
    RUBY
  end

  it "lets a manager go on when the threads are killed while nobody is at work (SEED=#{seed})" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      random = Random.new(#{seed})
      m = manager(concurrency: 5, offset_commit_period_ms: 2)
      offset = 0
      200.times do
        random.rand(1..8).times { m.enqueue(random.rand(6), nil, 0, offset += 1) }
        wait_until("worked") { worked.size == offset }
        # Who sleeps is parked, since the callbacks never sleep.
        manager_threads.select { random.rand < 0.7 }.each { |thread| kill_asleep?(thread) }
      end
      same(true, m.drain(timeout: 10), "drain")
      same((1..offset).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "loses no wake-up between shutdown and those who enqueue" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      1_500.times do |round|
        m = manager(concurrency: 3, max_in_queue: 2, max_in_flight: 4, offset_commit_period_ms: 1 + (round % 3))
        feeders = Array.new(2) do |n|
          Thread.new do
            20.times { |offset| m.enqueue(offset % 3, nil, n, offset) }
          rescue WorkShaper::ShuttingDown
            nil
          end
        end
        (round % 30).times { Thread.pass }
        same(true, m.shutdown(timeout: 10), "shutdown in round \#{round}: \#{m.stats}")
        feeders.each { |feeder| ended(feeder) }
        # (That of the log is waited for, but not for long.)
        left = manager_threads.reject { |thread| thread.name == "work_shaper log" }
        same([], left, "threads after round \#{round}")
      end
      passed
    RUBY
  end

  it "replaces an acknowledger that was killed parked" do
    expect_child_to_pass(<<~RUBY)
      m = manager
      20.times do |offset|
        m.enqueue(:key, nil, 0, offset)
        same(true, m.drain(timeout: 10), "drain")
        victim = wait_until("another one asleep") { acknowledger.then { |one| one.status == "sleep" && one } }
        victim.kill
        ended(victim) if offset.odd?
      end
      same((0...20).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "replaces an acknowledger that was killed while a drain waited for it" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0))
      m.enqueue(:key, nil, 0, 0)
      drainer = asleep_in { m.drain }
      wait_for_sleep(acknowledger)
      victim = acknowledger
      victim.kill
      ended(victim)
      gate.close
      ended(drainer)
      same(true, drainer.value, "drain")
      expect_intact(m)
      passed
    RUBY
  end

  # What `ack` did before it was cut off nobody can know: it may be called again or not, but nothing may hang.
  it "ends after an acknowledger was killed inside ack" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      calls = []
      m = manager(ack: ->(_, offset) { calls << offset; gate.pop })
      3.times { |offset| m.enqueue(:key, nil, 0, offset) }
      wait_until("in ack") { gate.num_waiting == 1 }
      victim = acknowledger
      victim.kill
      ended(victim)
      gate.close
      done = m.shutdown(timeout: 10)
      stats = m.stats
      same(stats[:fatal].nil?, done, "shutdown")
      check(calls.each_cons(2).all? { |one, other| one <= other }, "acks never go back: \#{calls}")
      same(2, calls.last, "the last ack") if done
      wait_until("no thread left") { manager_threads.empty? }
      passed
    RUBY
  end
end
