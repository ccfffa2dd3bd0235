# frozen_string_literal: true

require "spec_helper"

# A worker is started by whoever happens to enqueue, and works for everybody.
RSpec.describe WorkShaper::Manager, "threads, whoever starts them" do
  storage = Fiber.respond_to?(:[])

  # What a thread of the manager finds when it works and acknowledges.
  look = <<~RUBY
    seen = Queue.new
    see = lambda do |*|
      thread = Thread.current
      seen << [thread.name[/worker|acknowledger/], Fiber.respond_to?(:[]) && Fiber[:tenant], thread.priority, thread.group]
    end
    expect_clean = lambda do |m, groups|
      same(true, m.drain(timeout: 5), "drain")
      until seen.empty?
        name, tenant, priority, group = seen.pop
        check(tenant.nil? || tenant == false, "storage of \#{name}: \#{tenant.inspect}")
        same(0, priority, "priority of \#{name}")
        check(groups.include?(group), "group of \#{name}: \#{group.inspect}")
      end
    end
    STRANGERS = ThreadGroup.new
    stranger = lambda do |&block|
      thread = Thread.new do
        STRANGERS.add(Thread.current)
        Thread.current.priority = -2
        Fiber[:tenant] = "bank A" if Fiber.respond_to?(:[])
        block.call
      end
      ended(thread)
      thread.value
    end
  RUBY

  it "have no storage, priority or group of threads that made the manager, enqueued first, drained or flushed" do
    expect_child_to_pass(<<~RUBY)
      #{look}
      home = Thread.current.group
      m = manager(work: see, ack: see)
      stranger.call { m.enqueue(:a, nil, 0, 0); m.drain; m.flush }
      expect_clean.call(m, [home])
      # Those who come in place of the dead, too.
      3.times do |n|
        wait_for_sleep(*manager_threads)
        manager_threads.each { |thread| thread.kill.join }
        stranger.call { n.zero? ? m.enqueue(:a, nil, 0, n + 1) : m.try_enqueue(:a, nil, 0, n + 1); m.drain }
        expect_clean.call(m, [home])
      end
      expect_intact(m)
      made = stranger.call { manager(work: see, ack: see) }
      made.enqueue(:a, nil, 0, 0)
      expect_clean.call(made, [home, STRANGERS])
      expect_intact(made)
      passed
    RUBY
  end

  it "have no storage of the main thread", skip: !storage && "this Ruby has no Fiber storage" do
    expect_child_to_pass(<<~RUBY)
      #{look}
      Fiber[:tenant] = "bank A"
      m = manager(work: see, ack: see)
      m.enqueue(:a, nil, 0, 0)
      expect_clean.call(m, [Thread.current.group])
      gate = Queue.new
      other = manager(concurrency: 5, work: ->(*) { gate.pop; see.call })
      5.times { |n| other.enqueue(n, nil, 0, n) }
      wait_until("at work") { gate.num_waiting == 5 }
      gate.close
      expect_clean.call(other, [Thread.current.group])
      [m, other].each { |one| same(true, one.shutdown(timeout: 5), "shutdown") }
      passed
    RUBY
  end

  it "keep no storage that one message sets for the next", skip: !storage && "this Ruby has no Fiber storage" do
    expect_child_to_pass(<<~RUBY)
      tenants = Queue.new
      m = manager(concurrency: 1, work: ->(*) { tenants << Fiber[:tenant] })
      %w[A B].each_with_index { |tenant, n| Thread.new { Fiber[:tenant] = tenant; m.enqueue(:key, nil, 0, n) }.join }
      same(true, m.drain(timeout: 5), "drain")
      same([nil, nil], Array.new(2) { tenants.pop }, "tenants")
      expect_intact(m)
      passed
    RUBY
  end

  { "an enclosed" => "enclose", "a frozen" => "freeze" }.each do |what, close|
    it "are started even by a thread of #{what} ThreadGroup" do
      expect_child_to_pass(<<~RUBY)
        #{look}
        home = Thread.current.group
        m = manager(concurrency: 2, work: see, ack: see)
        go = Queue.new
        group = ThreadGroup.new
        enqueuer = Thread.new do
          go.pop
          m.enqueue(:a, nil, 0, 0)
          m.drain(timeout: 5)
        end
        group.add(enqueuer)
        group.#{close}
        go << true
        ended(enqueuer)
        same(true, enqueuer.value, "drain inside the group")
        expect_clean.call(m, [home, ThreadGroup::Default])
        same([], group.list, "left in the group")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "are started although the manager was made in an enclosed ThreadGroup" do
    expect_child_to_pass(<<~RUBY)
      #{look}
      go = Queue.new
      group = ThreadGroup.new
      maker = Thread.new { go.pop; manager(concurrency: 2, work: see, ack: see).tap { |m| m.enqueue(:a, nil, 0, 0) } }
      group.add(maker)
      group.enclose
      go << true
      m = ended(maker).value
      m.enqueue(:b, nil, 0, 1)
      expect_clean.call(m, [group, ThreadGroup::Default])
      wait_for_sleep(*manager_threads)
      manager_threads.each { |thread| thread.kill.join }
      m.enqueue(:b, nil, 0, 2)
      expect_clean.call(m, [group, ThreadGroup::Default])
      expect_intact(m)
      passed
    RUBY
  end
end
