# frozen_string_literal: true

require "spec_helper"

RSpec.describe "A Manager as a Ruby object" do
  # Every method on something which never was set up: it may raise what it likes, but must come back.
  every_method = <<~RUBY
    def every_method_raises(m)
      calls = [-> { m.enqueue(:key, nil, 0, 0) }, -> { m.try_enqueue(:key, nil, 0, 0) }, -> { m.flush },
               -> { m.drain(timeout: 1) }, -> { m.revoke(0) }, -> { m.shutdown(timeout: 1) }, -> { m.request_shutdown },
               -> { m.report }, -> { m.report(detailed: true) }, -> { m.stats }, -> { m.total_enqueued },
               -> { m.total_acked }, -> { m.shutting_down }, -> { m.shutting_down? }]
      calls.each { |call| raised(StandardError) { call.call } }
    end
  RUBY

  it "raises when it was allocated and never initialized" do
    expect_child_to_pass(<<~RUBY)
      #{every_method}
      m = WorkShaper::Manager.allocate
      every_method_raises(m)
      m.inspect
      m.to_s
      m.hash
      GC.start
      GC.compact if GC.respond_to?(:compact)
      1_000.times { WorkShaper::Manager.allocate }
      GC.start
      passed
    RUBY
  end

  it "raises when its initialize failed" do
    expect_child_to_pass(<<~RUBY)
      #{every_method}
      class Escaping < WorkShaper::Manager
        class << self
          attr_accessor :last
        end

        def initialize(**)
          self.class.last = self
          super
        end
      end
      [{ work: nil, ack: ->(*) {} }, { work: ->(*) {}, ack: 1 }, { work: ->(*) {}, ack: ->(*) {}, concurrency: 0 },
       { work: ->(*) {}, ack: ->(*) {}, unknown: 1 }, { work: -> {}, ack: ->(*) {} }].each do |arguments|
        raised(StandardError) { Escaping.new(**arguments) }
        every_method_raises(Escaping.last)
      end
      Escaping.last = nil
      GC.start
      same([], manager_threads, "threads")
      passed
    RUBY
  end

  it "cannot be initialized twice, and goes on" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      m = manager(work: gated(gate, 0))
      3.times { |offset| m.enqueue(:key, nil, 0, offset) }
      raised(StandardError) { m.send(:initialize, work: ->(*) {}, ack: ->(*) {}) }
      raised(StandardError) { m.send(:initialize, work: nil, ack: nil) }
      gate.close
      same(true, m.drain(timeout: 10), "drain")
      same([0, 1, 2], acked[0], "acked")
      expect_intact(m)
      raised(StandardError) { m.send(:initialize, work: ->(*) {}, ack: ->(*) {}) }
      passed
    RUBY
  end

  it "cannot be copied into a working second one" do
    expect_child_to_pass(<<~RUBY)
      #{every_method}
      gate = Queue.new
      m = manager(work: gated(gate, 0))
      3.times { |offset| m.enqueue(:key, nil, 0, offset) }
      [-> { m.dup }, -> { m.clone }, -> { m.clone(freeze: true) }, -> { Marshal.load(Marshal.dump(m)) }].each do |copying|
        begin
          copy = copying.call
        rescue StandardError
          next
        end
        every_method_raises(copy)
      end
      GC.start
      gate.close
      expect_intact(m)
      same([0, 1, 2], acked[0], "acked")
      passed
    RUBY
  end

  it "can be subclassed, extended and given instance variables" do
    expect_child_to_pass(<<~RUBY)
      class Counting < WorkShaper::Manager
        attr_reader :calls

        def initialize(calls, **settings)
          @calls = calls
          super(**settings)
        end

        def enqueue(sub_key, *, **)
          @calls << sub_key
          super
        end
      end
      m = Counting.new([], work: ->(_, _, o) { worked << o }, ack: ->(p, o) { acked[p] << o }, heartbeat_period_sec: 0)
      m.extend(Module.new { def try_enqueue(*) = super && :extended })
      m.instance_variable_set(:@more, "more")
      m.enqueue(:key, nil, 0, 0)
      same(:extended, m.try_enqueue(:key, nil, 0, 1), "extended")
      GC.start
      expect_intact(m)
      same([:key], m.calls.first(1), "calls")
      same("more", m.instance_variable_get(:@more), "instance variable")
      same([0, 1], acked[0], "acked")
      passed
    RUBY
  end

  it "is not broken by being frozen" do
    expect_child_to_pass(<<~RUBY)
      m = manager
      m.enqueue(:key, nil, 0, 0)
      m.freeze
      begin
        m.enqueue(:key, nil, 0, 1)
      rescue FrozenError
        nil
      end
      same(true, m.shutdown(timeout: 10), "shutdown")
      same(m.total_enqueued, m.total_acked, "acked")
      passed
    RUBY
  end

  it "can be created, used and ended by any thread" do
    expect_child_to_pass(<<~RUBY)
      m = Thread.new { manager(concurrency: 2) }.value
      threads = Array.new(5) { |p| Thread.new { 50.times { |offset| m.enqueue(offset % 3, nil, p, offset) } } }
      threads.each { |thread| ended(thread) }
      same([true] * 4, Array.new(4) { Thread.new { m.drain(timeout: 10) } }.map(&:value), "drains")
      same([true] * 4, Array.new(4) { Thread.new { m.shutdown(timeout: 10) } }.map(&:value), "shutdowns")
      5.times { |p| same((0...50).to_a, acked[p], "acked of \#{p}") }
      passed
    RUBY
  end

  it "can be used by fibers, enumerators and under a Mutex" do
    expect_child_to_pass(<<~RUBY)
      m = manager(max_in_queue: 2, work: ->(_, _, offset) { Fiber.new { worked << offset }.resume })
      Fiber.new { 10.times { |offset| m.enqueue(:key, nil, 0, offset) } }.resume
      feed = Enumerator.new { |y| 10.times { |n| m.enqueue(:key, nil, 1, n); y << n } }
      10.times { feed.next }
      lock = Mutex.new
      Array.new(3) { |p| Thread.new { 10.times { |n| lock.synchronize { m.enqueue(:key, nil, 2 + p, n) } } } }.each(&:join)
      same(true, Fiber.new { m.drain(timeout: 10) }.resume, "drain in a fiber")
      same((0...10).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end

  it "raises in another Ractor and does not crash" do
    skip "no Ractor in this Ruby" unless defined?(Ractor)
    expect_child_to_pass(<<~RUBY, stderr: //)
      def error_in(*arguments, &block)
        Ractor.new(*arguments, &block).then { |ractor| ractor.respond_to?(:value) ? ractor.value : ractor.take }
        nil
      rescue StandardError => e
        e
      end
      m = manager
      m.enqueue(:key, nil, 0, 0)
      check(error_in { WorkShaper::Manager.allocate.stats }, "allocate in a Ractor raises")
      check(error_in { WorkShaper::Manager.new(work: ->(*) {}, ack: ->(*) {}) }, "new in a Ractor raises")
      check(error_in(m) { |copy| copy.enqueue(:key, nil, 0, 1) }, "a copy in a Ractor raises")
      ractor = Ractor.new { Ractor.receive.enqueue(:key, nil, 0, 2) }
      raised(StandardError) { ractor.send(m, move: true) }
      other = manager
      raised(StandardError) { Ractor.make_shareable(other) }
      same(true, other.shutdown(timeout: 10), "shutdown after it")
      GC.start
      expect_intact(m)
      same([0], acked[0], "acked")
      $stdout.puts "passed"
      $stdout.flush
      exit!(0)
    RUBY
  end
end
