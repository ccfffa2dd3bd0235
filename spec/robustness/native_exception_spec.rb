# frozen_string_literal: true

require "spec_helper"

# A C extension may allocate the objects of its exceptions itself: as T_DATA, which is what Ruby's own signals of a
# thread that is killed look like from C.
RSpec.describe "An exception whose object is native" do
  def expect_to_pass(script)
    expect_child_to_pass("require #{NativeErrors.path.inspect}\n#{script}", stderr: //)
  end

  %w[work on_done].each do |callback|
    it "goes to on_error when it comes out of #{callback}, and the offset counts as finished" do
      expect_to_pass(<<~RUBY)
        caught = []
        failing = ->(message, *) { raise NativeError, "native" if message }
        m = manager(**{ work: ->(*) {} }, #{callback}: failing,
                    on_error: ->(error, message, partition, offset) { caught << [error.class, error.message, message, partition, offset] })
        [true, nil, true].each_with_index { |message, offset| m.enqueue(:key, message, 0, offset) }
        same(true, m.drain(timeout: 5), "drain")
        same([[NativeError, "native", true, 0, 0], [NativeError, "native", true, 0, 2]], caught, "caught")
        same([0, 1, 2], acked[0], "acked")
        same(2, m.stats[:total_failed], "failed")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "is logged when it comes out of work and there is no on_error, or when it comes out of on_error" do
    expect_to_pass(<<~RUBY)
      [{}, { on_error: ->(*) { raise NativeError, "native, too" } }].each_with_index do |callbacks, partition|
        m = manager(work: ->(*) { raise NativeError, "native" }, **callbacks)
        3.times { |offset| m.enqueue(:key, nil, partition, offset) }
        same(true, m.drain(timeout: 5), "drain")
        same([0, 1, 2], acked[partition], "acked")
        same(nil, m.stats[:fatal], "fatal")
        same(true, m.shutdown(timeout: 5), "shutdown")
        check(log.string.include?("NativeError: native"), "the error is in the log")
      end
      passed
    RUBY
  end

  it "stops the manager when it comes out of ack, like any other" do
    expect_to_pass(<<~RUBY)
      m = manager(ack: ->(*) { raise NativeError, "native" })
      m.enqueue(:key, nil, 0, 0)
      wait_until("shuts down") { m.shutting_down? }
      expect_intact(m, fatal: true)
      check(m.stats[:fatal].include?("NativeError: native"), "fatal says so: \#{m.stats[:fatal]}")
      same(0, m.total_acked, "acked")
      passed
    RUBY
  end

  it "is raised to the caller when a key raises it" do
    expect_to_pass(<<~RUBY)
      key = Class.new { def hash = raise(NativeError, "native") }.new
      m = manager
      raised(NativeError) { m.enqueue(key, nil, 0, 0) }
      same(0, m.total_enqueued, "enqueued")
      expect_intact(m)
      passed
    RUBY
  end

  it "is raised by process of a batch" do
    expect_to_pass(<<~RUBY)
      require "work_shaper/batches"
      batches = WorkShaper::Batches.new(heartbeat_period_sec: 0) { |message| raise NativeError, "native" if message == 2 }
      raised(NativeError) { batches.process([1, 2, 3], sub_key: nil) }
      batches.process([1, 3], sub_key: nil)
      same(true, batches.shutdown(timeout: 5), "shutdown")
      passed
    RUBY
  end

  it "is a failure when it is not a StandardError, like any other" do
    expect_to_pass(<<~RUBY)
      m = manager(work: ->(*) { raise NativeException, "native" })
      m.enqueue(:key, nil, 0, 0)
      same(true, m.drain(timeout: 5), "drain")
      same(1, m.stats[:total_failed], "failed")
      expect_intact(m)
      passed
    RUBY
  end

  it "ends a thread that it is raised into, and the thread is replaced" do
    expect_to_pass(<<~RUBY)
      Thread.report_on_exception = false
      m = manager(concurrency: 1)
      5.times do |offset|
        m.enqueue(:key, nil, 0, offset)
        same(true, m.drain(timeout: 5), "drain")
        victims = manager_threads
        wait_for_sleep(*victims)
        victims.each { |thread| thread.raise(NativeError, "native") }
        wait_until("all have ended") { victims.none?(&:alive?) }
      end
      same((0..4).to_a, acked[0], "acked")
      expect_intact(m)
      passed
    RUBY
  end
end
