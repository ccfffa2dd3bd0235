# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Killing workers" do
  it "loses nothing when parked ones are killed while 20,000 messages flow" do
    expect_child_to_pass(<<~RUBY, limit: 40)
      random = Random.new(Integer(ENV.fetch("SEED", "1")))
      m = manager(concurrency: 6, max_in_queue: 20_000, max_in_flight: 20_000)
      killed = 0
      kill_one = lambda do
        victim = workers.select { |worker| worker.status == "sleep" }.sample(random: random) or next
        killed += 1 if kill_asleep?(victim) # at work, a kill is fatal
      end
      feeder = Thread.new do
        20_000.times do |offset|
          m.enqueue(offset % 97, nil, offset % 3, offset)
          Thread.pass if (offset % 20).zero?
        end
      end
      while feeder.alive?
        kill_one.call
        Thread.pass
      end
      # The one that is about to die is the one that is called next: its call must go to another.
      offset = 20_000
      while killed < 300
        kill_one.call
        m.enqueue(offset % 97, nil, offset % 3, offset)
        wait_until("worked on after a kill") { worked.size == offset + 1 } if (offset % 7).zero?
        offset += 1
      end
      same(true, m.drain(timeout: 10), "drain")
      same((0...offset).to_a, worked.sort, "worked")
      3.times { |p| same((p...offset).step(3).to_a, acked[p], "acked of partition \#{p}") }
      same(nil, m.stats[:fatal], "fatal")
      expect_intact(m)
      passed
    RUBY
  end

  it "replaces all parked workers at once" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(concurrency: 4, work: ->(*) { gate.pop })
      25.times do |round|
        gate = Queue.new
        4.times { |key| m.enqueue(key, nil, 0, (round * 4) + key) }
        wait_until("four at work") { gate.num_waiting == 4 }
        gate.close
        same(true, m.drain(timeout: 10), "drain")
        wait_until("parked") { workers.size == 4 && workers.all? { |worker| worker.status == "sleep" } }
        workers.each(&:kill)
      end
      expect_intact(m)
      passed
    RUBY
  end

  it "is not put off by spurious wake-ups" do
    expect_child_to_pass(<<~RUBY)
      m = manager(concurrency: 4, max_in_queue: 5, max_in_flight: 50)
      feeder = Thread.new { 5_000.times { |offset| m.enqueue(offset % 7, nil, 0, offset) } }
      while feeder.alive?
        (manager_threads << feeder).each { |thread| thread.wakeup if thread.status == "sleep" }
        Thread.pass
      end
      feeder.join
      same(true, m.drain(timeout: 10), "drain")
      same((0...5_000).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "replaces a parked worker into which something was raised" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      m = manager(concurrency: 2)
      [RuntimeError, Exception, Interrupt].each_with_index do |error, offset|
        m.enqueue(:key, nil, 0, offset)
        same(true, m.drain(timeout: 10), "drain")
        wait_until("parked") { workers.all? { |worker| worker.status == "sleep" } }
        workers.each { |worker| worker.report_on_exception = false }
        workers.each { |worker| worker.raise(error, "into a parked worker") }
      end
      expect_intact(m)
      passed
    RUBY
  end

  { "work" => "work", "on_done" => "on_done", "on_error" => "on_error" }.each do |name, callback|
    it "finishes everything else when one is killed in #{name}" do
      expect_child_to_pass(<<~RUBY)
        at_work = Queue.new
        gate = Queue.new
        trap_here = lambda do |message|
          next unless message == :victim

          at_work << Thread.current
          gate.pop
        end
        callbacks = {
          work: lambda do |message, _, offset|
            trap_here.call(message) if "#{callback}" == "work"
            raise "to on_error" if "#{callback}" == "on_error" && message == :victim
            worked << offset unless message == :victim
          end,
          on_done: ->(message, *) { trap_here.call(message) if "#{callback}" == "on_done" },
          on_error: ->(_, message, *) { trap_here.call(message) if "#{callback}" == "on_error" }
        }
        m = manager(concurrency: 3, **callbacks)
        m.enqueue(:a, :victim, 0, 10)
        victim = at_work.pop
        m.enqueue(:a, :behind, 0, 11)
        m.enqueue(:b, :other, 0, 9)
        m.enqueue(:b, :other, 0, 12)
        m.enqueue(:b, :other, 1, 13)
        victim.kill
        ended(victim)
        time = seconds { expect_intact(m, fatal: true) }
        check(time < 5, "shutdown does not wait for what was abandoned")
        same([9, 12, 13], worked.sort, "worked")
        same([9], acked[0], "acked of the partition of the victim")
        same([13], acked[1], "acked of the other partition")
        raised(WorkShaper::ShuttingDown) { m.enqueue(:c, nil, 1, 14) }
        passed
      RUBY
    end
  end

  it "hides no kill from a worker that has an ensure" do
    expect_child_to_pass(<<~RUBY)
      ensured = Queue.new
      gate = Queue.new
      m = manager(work: lambda do |*|
        gate.pop
      ensure
        ensured << Thread.current
      end)
      m.enqueue(:a, nil, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      workers.first.kill
      ended(ensured.pop)
      expect_intact(m, fatal: true)
      passed
    RUBY
  end

  it "lets every worker be killed at work, one by one, and ends" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(concurrency: 8, work: ->(*) { gate.pop })
      8.times { |key| m.enqueue(key, nil, 0, key) }
      wait_until("eight at work") { gate.num_waiting == 8 }
      workers.shuffle.each do |worker|
        worker.kill
        ended(worker)
      end
      expect_intact(m, fatal: true)
      same([], acked[0], "acked")
      passed
    RUBY
  end
end
