# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Memory" do
  # The stacks are searched for anything like a reference, so a few objects may seem to be in use.
  few = 10
  prelude = <<~RUBY
    Key = Struct.new(:name)
    Message = Struct.new(:text)
    def count(type)
      4.times { GC.start }
      ObjectSpace.each_object(type).count
    end
    WorkShaper.logger = Logger.new(File::NULL) # a log that is kept would be what grows
    def resident_kilobytes
      4.times { GC.start }
      Integer(File.read("/proc/self/status")[/VmRSS:\\s+(\\d+)/, 1])
    end
  RUBY
  linux = File.readable?("/proc/self/status")

  it "lets go of messages, keys and partitions when they are finished" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      m = manager(concurrency: 3, ack: ->(*) {}, work: ->(*) {})
      20.times { |p| 100.times { |n| m.enqueue(Key.new(n), Message.new("text"), p, n) } }
      same(true, m.drain(timeout: 10), "drain")
      check(count(Message) <= #{few}, "messages left: \#{count(Message)}")
      check(count(Key) <= #{few}, "keys left: \#{count(Key)}")
      same(0, m.stats[:sub_keys], "sub keys")
      expect_intact(m)
      passed
    RUBY
  end

  it "lets go of what failed, was dropped, was turned away or never got in" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      Boom = Class.new(StandardError)
      gate = Queue.new
      m = manager(concurrency: 2, max_in_queue: 500, max_in_flight: 1_500, on_error: ->(*) {},
                  work: ->(_, partition, _) { gate.pop; raise Boom, "boom" if partition.zero? })
      2.times { |p| 500.times { |n| m.enqueue(Key.new(n % 9), Message.new("text"), p, n) } }
      200.times { |n| m.try_enqueue(Key.new(n), Message.new("text"), 2, n) }
      raised(WorkShaper::Full) { 500.times { |n| m.enqueue(Key.new(0), Message.new("text"), 2, n, timeout: 0) } }
      threads = Array.new(50) { |n| Thread.new { m.enqueue(Key.new(0), Message.new("text"), 3, n, timeout: 0.01) rescue nil } }
      threads.each(&:join)
      threads = nil
      m.revoke(1)
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      3.times { |p| m.revoke(p) }
      check(count(Message) <= #{few}, "messages left: \#{count(Message)}")
      check(count(Key) <= #{few}, "keys left: \#{count(Key)}")
      check(count(Boom) <= #{few}, "errors left: \#{count(Boom)}")
      expect_intact(m)
      passed
    RUBY
  end

  it "lets go of what a failed manager abandoned, once it is gone" do
    expect_child_to_pass(<<~RUBY, stderr: //)
      #{prelude}
      def fail_one
        gate = Queue.new
        m = manager(concurrency: 2, work: ->(*) { gate.pop; Thread.current.kill })
        50.times { |n| m.enqueue(Key.new(n % 3), Message.new("text"), 0, n) }
        gate.close
        same(false, m.shutdown(timeout: 10), "shutdown")
      end
      10.times { Thread.new { fail_one }.join }
      wait_until("no thread left") { manager_threads.empty? }
      check(count(Message) <= #{few + 50}, "messages left: \#{count(Message)}")
      check(count(WorkShaper::Manager) <= 2, "managers left: \#{count(WorkShaper::Manager)}")
      passed
    RUBY
  end

  it "lets go of a manager after its shutdown, used or not" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      used = lambda do |n|
        m = manager(concurrency: 3)
        4.times { |offset| m.enqueue(offset, Message.new("text"), n, offset) }
        same(true, m.shutdown(timeout: 10), "shutdown")
      end
      # In a thread of their own, so that no stack keeps a reference.
      Thread.new { 100.times(&used) }.join
      Thread.new { 100.times { manager.shutdown } }.join
      wait_until("no thread left") { manager_threads.empty? }
      check(count(WorkShaper::Manager) <= #{few}, "managers left: \#{count(WorkShaper::Manager)}")
      check(count(Message) <= #{few}, "messages left: \#{count(Message)}")
      passed
    RUBY
  end

  it "lets go of a manager that winds down by itself" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      Thread.new do
        50.times do |n|
          m = manager
          m.enqueue(:key, Message.new("text"), 0, n)
          m.request_shutdown
        end
      end.join
      # In a thread of its own: a list of all threads that stays behind on a stack would hold all managers.
      Thread.new { wait_until("no thread left") { manager_threads.empty? } }.join
      wait_until("managers are let go") { count(WorkShaper::Manager) <= #{few} }
      passed
    RUBY
  end

  it "does not grow over 1,000 managers with threads", skip: !linux do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      round = lambda do |_|
        m = manager(concurrency: 2, ack: ->(*) {}, work: ->(*) {})
        6.times { |offset| m.enqueue(offset % 4, nil, offset % 3, offset) }
        same(true, m.shutdown(timeout: 10), "shutdown")
      end
      300.times(&round)
      before = resident_kilobytes
      1_000.times(&round)
      grown = resident_kilobytes - before
      wait_until("no thread left") { manager_threads.empty? }
      check(grown < 6_000, "grown by \#{grown} kB")
      passed
    RUBY
  end

  it "does not grow over 3,000 managers that are never used", skip: !linux do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      round = ->(_) { WorkShaper::Manager.new(work: ->(*) {}, ack: ->(*) {}).shutdown }
      1_000.times(&round)
      before = resident_kilobytes
      3_000.times(&round)
      grown = resident_kilobytes - before
      wait_until("no thread left") { manager_threads.empty? }
      check(grown < 4_000, "grown by \#{grown} kB")
      passed
    RUBY
  end

  it "does not grow with messages, keys, revokes and partitions that come and go", skip: !linux do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{prelude}
      m = manager(concurrency: 3, work: ->(*) {}, ack: ->(*) {})
      round = lambda do |number|
        partition = "partition \#{number}"
        40.times { |offset| m.enqueue("key \#{number} \#{offset}", "message", partition, 5_000 - (offset * (number % 3))) }
        m.revoke(partition)
      end
      500.times(&round)
      m.drain(timeout: 10)
      before = resident_kilobytes
      3_000.times(&round)
      same(true, m.drain(timeout: 10), "drain")
      grown = resident_kilobytes - before
      check(grown < 6_000, "grown by \#{grown} kB")
      expect_intact(m)
      passed
    RUBY
  end
end
