# frozen_string_literal: true

require "spec_helper"

# The rest of work_shaper_0_1_3_spec.rb: what that version did with its callbacks and its log.
RSpec.describe "WorkShaper 0.1.3" do
  # A manager whose messages wait for one gate, but :free ones.
  def held_manager(**settings)
    held = gate
    manager(work: ->(message, _, _) { held.pass unless message == :free }, **settings)
  end

  describe "its callbacks" do
    it "ran into an ArgumentError for each message when the arity did not fit, and acknowledged them all" do
      expect { bare_manager(work: ->(_message) {}, ack: ->(_, _) {}) }.to raise_error(ArgumentError, /work/)
    end

    it "had to be given: on_done and on_error" do
      shaper = bare_manager(work: ->(message, _, _) { raise "lost" if message == :bad }, ack: ->(_, _) {})
      shaper.enqueue(:key, :good, 0, 0)
      shaper.enqueue(:key, :bad, 0, 1)
      drained(shaper)
      expect(log.messages("ERROR").join).to include("lost")
    end

    it "swallowed what on_error raised" do
      shaper = manager(work: ->(_, _, _) { raise "first" }, on_error: ->(_, _, _, _) { raise "second" })
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(log.messages("ERROR").join).to include("second")
    end
  end

  describe "its log" do
    it "shut everything down when the logger raised in the heartbeat" do
      raised = 0
      faulty = Class.new(Logger) { define_method(:add) { |*| (raised += 1) && raise(IOError, "disk full") } }
      %i[info warn error].each { |level| faulty.define_method(level) { |*, &block| add(level, &block) } }
      log
      WorkShaper.logger = faulty.new(StringIO.new)
      shaper = keep(WorkShaper::Manager.new(**calls.callbacks, heartbeat_period_sec: 1))
      eventually { raised.positive? }
      shaper.enqueue(:key, :message, 0, 0)
      drained(shaper)
      expect(shaper.shutting_down).to be(false)
      WorkShaper.logger = log
    end

    it "printed the whole window in a line" do
      shaper = held_manager(max_in_queue: 5_000)
      3_000.times { |n| shaper.enqueue(:key, :held, 0, n) }
      shaper.report(detailed: true)
      expect(log.messages.map { |line| line.to_s.size }.max).to be < 10_000
    end

    it "reported pending_ack as nil whatever was pending" do
      shaper = held_manager
      shaper.enqueue(:slow, :held, 0, 0)
      3.times { |n| shaper.enqueue(n, :free, 0, n + 1) }
      settle(shaper, running: 1)
      shaper.report(detailed: true)
      expect(log.entries(/Extra Detail/).first[:pending_ack]).not_to be_nil
    end

    it "was at DEBUG by default, with a line or more for each message" do
      result = run_ruby(<<~RUBY, limit: 30)
        require "work_shaper"
        WorkShaper.logger = nil
        shaper = WorkShaper::Manager.new(work: ->(_, _, _) {}, on_done: ->(_, _, _) {}, ack: ->(_, _) {}, on_error: ->(*) {})
        100.times { |n| shaper.enqueue(n, n, 0, n) }
        shaper.shutdown
        puts "passed"
      RUBY
      expect(result).to be_passed
      expect(result.stdout.lines.size).to be < 20
    end
  end
end
