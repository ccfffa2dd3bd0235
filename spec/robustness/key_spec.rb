# frozen_string_literal: true

require "spec_helper"

RSpec.describe "Sub keys and partitions with a mind of their own" do
  # A key whose #hash and #eql? run what they are told to.
  prelude = <<~RUBY
    class Key
      attr_reader :name

      def initialize(name, on_hash: nil, on_eql: nil) = (@name, @on_hash, @on_eql = name, on_hash, on_eql)
      def hash = (@on_hash&.call; 42)
      def eql?(other) = (@on_eql&.call; other.is_a?(Key) && name == other.name)
      alias == eql?
    end

    # Arms the hooks only for the time of the call.
    def unchanged(m)
      before = m.stats.slice(:total_enqueued, :in_flight, :waiting, :running, :sub_keys)
      begin
        @armed = true
        yield
      ensure
        @armed = false
      end
      same(before, m.stats.slice(*before.keys), "stats")
    end
  RUBY

  { "#hash" => "on_hash", "#eql?" => "on_eql" }.each do |name, hook|
    { "raises" => ["raise IOError, 'broken key'", "raised(IOError)"],
      "throws" => ["throw :out", "catch(:out)"],
      "raises no StandardError" => ["raise Exception, 'broken key'", "raised(Exception)"],
      "fails a Timeout" => ["Timeout.timeout(0.01) { sleep }", "raised(Timeout::Error)"] }
      .each do |what, (code, around)|
      it "change nothing when #{name} #{what} in enqueue" do
        expect_child_to_pass(<<~RUBY)
          #{prelude}
          gate = Queue.new
          m = manager(work: gated(gate, 0), concurrency: 2)
          # Which of two keys is asked whether it equals the other is up to the table.
          key = ->(name) { Key.new(name, #{hook}: -> { #{code} if @armed }) }
          m.enqueue(key.call("one"), nil, 0, 0)
          m.enqueue(key.call("two"), nil, key.call("partition"), 1)
          wait_until("at work") { gate.num_waiting == 1 && worked == [1] && m.total_acked == 1 }
          broken = key.call("broken")
          unchanged(m) { #{around} { m.enqueue(broken, nil, 0, 2) } }
          unchanged(m) { #{around} { m.try_enqueue(broken, nil, 0, 2) } }
          unchanged(m) { #{around} { m.enqueue(broken, nil, 0, 2, timeout: 1) } }
          unchanged(m) { #{around} { m.enqueue(:key, nil, broken, 2) } }
          unchanged(m) { #{around} { m.revoke(broken) } }
          m.enqueue(broken, nil, 0, 2)
          gate.close
          same(true, m.drain(timeout: 10), "drain")
          same([0, 2], acked[0], "acked")
          expect_intact(m)
          passed
        RUBY
      end
    end

    it "keep I1 and I2 when #{name} lets other threads run" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        at_work = Hash.new(0)
        starts = []
        m = manager(concurrency: 6, max_in_queue: 4, max_in_flight: 30, work: lambda do |(name, thread, n), _, offset|
          next unless name

          give_up("two at work for \#{name}") if at_work[name] > 0
          at_work[name] += 1
          starts << [name, thread, n]
          Thread.pass
          at_work[name] -= 1
        end)
        feeders = Array.new(4) do |thread|
          Thread.new do
            150.times do |n|
              key = Key.new(n % 3, #{hook}: -> { Thread.pass })
              m.enqueue(key, [n % 3, thread, n], Key.new("partition \#{n % 2}", #{hook}: -> { Thread.pass }), (thread * 1_000) + n)
            end
          end
        end
        feeders.each { |feeder| ended(feeder, 40) }
        same(true, m.drain(timeout: 10), "drain")
        same(600, starts.size, "worked")
        starts.group_by { |name, thread,| [name, thread] }.each_value do |list|
          numbers = list.map(&:last)
          same(numbers.sort, numbers, "order")
        end
        same(2, m.stats[:partitions].size, "partitions")
        same(0, m.stats[:sub_keys], "sub keys")
        expect_intact(m)
        passed
      RUBY
    end

    it "may enqueue, flush, revoke and look at the manager from within #{name}" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        m = manager(max_in_queue: 5, concurrency: 2)
        armed = true
        depth = 0
        offset = 0
        ran = 0
        again = lambda do
          next if depth >= 3 || !armed

          ran += 1
          depth += 1
          m.enqueue(Key.new("inner"), nil, 0, offset += 1)
          m.try_enqueue(Key.new("outer"), nil, 0, offset += 1)
          m.flush
          m.stats
          m.revoke(:another)
          depth -= 1
        end
        m.enqueue(Key.new("outer"), nil, 0, offset += 1)
        20.times { m.enqueue(Key.new("outer", #{hook}: again), nil, 0, offset += 1) }
        5.times { m.enqueue(Key.new("outer"), nil, Key.new(:p, #{hook}: again), offset += 1) }
        check(ran > 0, "the hook ran")
        armed = false # shutdown looks at the manager, too, and it takes nothing any more
        same(true, m.drain(timeout: 10), "drain")
        same(m.total_enqueued, m.total_acked, "acked")
        expect_intact(m)
        passed
      RUBY
    end

    it "leave no message behind when #{name} shuts the manager down" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        m = manager
        m.enqueue(Key.new("one"), nil, 0, 0)
        stopping = Key.new("two", #{hook}: -> { m.request_shutdown })
        begin
          gate = Queue.new
          m.enqueue(stopping, nil, 0, 1)
        rescue WorkShaper::ShuttingDown
          nil
        end
        ended(Thread.new { m.shutdown(timeout: 10) })
        same(true, m.shutdown(timeout: 10), "shutdown")
        same((0...m.total_enqueued).to_a, acked[0], "acked")
        passed
      RUBY
    end

    it "tell the child of a fork within #{name} in enqueue" do
      expect_child_to_pass(<<~RUBY)
        #{prelude}
        m = manager
        gate = Queue.new
        m.enqueue(Key.new("one"), nil, 0, 0)
        parent = Process.pid
        pid = nil
        forking = Key.new("two", #{hook}: -> { pid = fork if Process.pid == parent && pid.nil? })
        held = Key.new("two")
        m.enqueue(held, nil, 0, 1)
        begin
          m.enqueue(forking, nil, 0, 2)
          exit!(m.total_enqueued && 7) if Process.pid != parent
        rescue WorkShaper::ForkedProcess
          exit!(8)
        end
        m.enqueue(Key.new("two", #{hook}: -> { pid ||= :none }), nil, 0, 3)
        same(8, child_status(pid).exitstatus, "exit status of the child") if pid.is_a?(Integer)
        same(true, m.drain(timeout: 10), "drain")
        same([0, 1, 2, 3], acked[0], "acked")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "are worked on and acknowledged when they break only after enqueue" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      broken = false
      gate = Queue.new
      fail_later = -> { raise IOError, "broken later" if broken }
      key = ->(name) { Key.new(name, on_hash: fail_later, on_eql: fail_later) }
      m = manager(work: ->(_, _, offset) { gate.pop; worked << offset }, concurrency: 2, ack: ->(_, o) { acked[0] << o })
      12.times { |offset| m.enqueue(key.call(offset % 3), nil, key.call("partition"), offset) }
      broken = true
      gate.close
      wait_until("worked") { worked.size == 12 }
      wait_until("acked") { acked[0].size == 12 }
      broken = false
      same(true, m.drain(timeout: 10), "drain")
      same(12, m.total_acked, "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "may change while they wait, as no Hash key should" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: ->(_, _, offset) { gate.pop; worked << offset }, concurrency: 3)
      keys = Array.new(5) { |n| ["key", n] }
      partition = ["partition"]
      20.times { |offset| m.enqueue(keys[offset % 5], nil, offset.even? ? 0 : partition, offset) }
      keys.each_with_index { |key, n| key << "changed" << n }
      partition << "changed"
      GC.start
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      same((0...20).to_a, worked.sort, "worked")
      same(20, m.total_acked, "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "may be Strings that change, empty, binary or huge" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: ->(_, _, offset) { gate.pop; worked << offset }, concurrency: 2)
      key = +"key"
      m.enqueue(key, nil, key, 0)
      key << " changed"
      m.enqueue(key, nil, key, 1)
      key.replace("key")
      m.enqueue(key, nil, key, 2)
      ["", "\\0", "\\xFF".b, "x" * 1_000_000, "\\u00e9"].each_with_index { |one, n| m.enqueue(one, nil, one, 10 + n) }
      wait_until("two at work") { gate.num_waiting == 2 }
      same(7, m.stats[:partitions].size, "partitions")
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      same([0, 2], acked["key"], "acked of key")
      same([1], acked["key changed"], "acked of key changed")
      expect_intact(m)
      passed
    RUBY
  end

  it "are refused when they cannot be Hash keys" do
    expect_child_to_pass(<<~RUBY)
      #{prelude}
      m = manager
      odd = Class.new { def hash = "no number" }
      huge = Class.new { def hash = 2**100; def eql?(other) = other.class == self.class }
      unchanged(m) { raised(NoMethodError) { m.enqueue(BasicObject.new, nil, 0, 0) } }
      unchanged(m) { raised(TypeError) { m.enqueue(odd.new, nil, 0, 0) } }
      unchanged(m) { raised(NoMethodError) { m.enqueue(:key, nil, BasicObject.new, 0) } }
      m.enqueue(huge.new, nil, 0, 0)
      m.enqueue(0.0 / 0.0, nil, 0, 1)
      m.enqueue(Float::NAN, nil, 0, 2)
      m.enqueue(-0.0, nil, 0, 3)
      m.enqueue(:key, BasicObject.new, 0, 4)
      same(true, m.drain(timeout: 10), "drain")
      same([0, 1, 2, 3, 4], acked[0], "acked")
      same(0, m.stats[:sub_keys], "sub keys")
      expect_intact(m)
      passed
    RUBY
  end
end
