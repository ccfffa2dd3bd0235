# frozen_string_literal: true

require "logger"
require "monitor"
require "stringio"
require "timeout"

# What the specs of a manager share: managers that are always shut down after the example, callbacks that record
# what they were called with, gates that hold a callback until the example opens them, and waits on a condition.
# No wait is longer than DEADLINE, and none is a plain sleep.
module ManagerHelpers
  DEADLINE = Float(ENV.fetch("SPEC_DEADLINE_SEC", "15"))
  POLL_SEC = 0.001
  LEAST_LOOKS = 500
  ANY = Object.new.freeze
  MAKING = Monitor.new

  def self.now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  # Holds whoever passes until it is opened.
  class Gate
    def initialize
      @mutex = Mutex.new
      @condition = ConditionVariable.new
      @open = false
      @waiting = 0
    end

    attr_reader :waiting

    def open
      @mutex.synchronize do
        @open = true
        @condition.broadcast
      end
    end

    # Bounded, so that a failing example cannot hold a worker for ever.
    def pass
      deadline = ManagerHelpers.now + (2 * DEADLINE)
      @mutex.synchronize do
        @waiting += 1
        until @open
          remaining = deadline - ManagerHelpers.now
          raise "nobody opened the gate" unless remaining.positive?

          @condition.wait(@mutex, remaining)
        end
      ensure
        @waiting -= 1
      end
    end
  end

  # A gate for each name, made when it is first asked for, by whichever thread.
  class Gates
    def initialize
      @mutex = Mutex.new
      @gates = {}
    end

    def [](name)
      @mutex.synchronize { @gates.fetch(name) { @gates[name] = @made_open || Gate.new } }
    end

    # All of them, also those that nobody has asked for yet.
    def open
      @mutex.synchronize do
        @gates.each_value(&:open)
        @made_open = Gate.new.tap(&:open)
      end
    end
  end

  # What the callbacks of one manager saw, in one order for all of them.
  class Calls
    Call = Struct.new(:kind, :message, :partition, :offset, :thread, :error, keyword_init: true)

    def initialize
      @calls = []
    end

    # Appending to an Array is one step under the GVL, so no lock is needed (a lock would hide races).
    def note(kind, **fields)
      @calls << Call.new(kind: kind, thread: Thread.current, **fields)
    end

    def all
      @calls.dup
    end

    def of(kind, partition = ANY)
      all.select { |call| call.kind == kind && (ANY.equal?(partition) || call.partition == partition) }
    end

    def started
      of(:work).map(&:message)
    end

    def worked
      of(:worked).map(&:message)
    end

    def acks(partition = ANY)
      of(:ack, partition).map(&:offset)
    end

    def errors
      of(:error).map(&:error)
    end

    # The four callbacks of a manager: each notes its call, then does what the example gave, if anything.
    def callbacks(work: nil, on_done: nil, ack: nil, on_error: nil)
      { work: work_callback(work), on_done: done_callback(on_done), ack: ack_callback(ack),
        on_error: error_callback(on_error) }
    end

    private

    def work_callback(inner)
      lambda do |message, partition, offset|
        note(:work, message: message, partition: partition, offset: offset)
        inner&.call(message, partition, offset)
        note(:worked, message: message, partition: partition, offset: offset)
      end
    end

    def done_callback(inner)
      lambda do |message, partition, offset|
        inner&.call(message, partition, offset)
        note(:done, message: message, partition: partition, offset: offset)
      end
    end

    def ack_callback(inner)
      lambda do |partition, offset|
        note(:ack, partition: partition, offset: offset)
        inner&.call(partition, offset)
      end
    end

    def error_callback(inner)
      lambda do |error, message, partition, offset|
        note(:error, error: error, message: message, partition: partition, offset: offset)
        inner&.call(error, message, partition, offset)
      end
    end
  end

  # A ::Logger that keeps what it was given: pairs of severity and message.
  class LogCapture < ::Logger
    attr_reader :lines

    def initialize(level: ::Logger::INFO)
      @lines = []
      super(StringIO.new, level: level)
      self.formatter = proc do |severity, _time, _program, message|
        @lines << [severity, message]
        ""
      end
    end

    # The messages of one severity, or of all.
    def messages(severity = nil)
      lines.dup.select { |line| severity.nil? || line.first == severity }.map(&:last)
    end

    # Lines whose message: field matches.
    def entries(pattern, severity = nil)
      messages(severity).select { |message| message.is_a?(Hash) && pattern.match?(message[:message].to_s) }
    end
  end

  # Made before the example, since several threads of it may be the first to ask.
  attr_reader :calls

  # The log of the example; WorkShaper.logger until the example ends.
  def log(level: ::Logger::INFO)
    once(:@log) do
      @logger_before = WorkShaper.logger
      WorkShaper.logger = LogCapture.new(level: level)
    end
  end

  # What the block makes, once, whichever threads are the first to ask.
  def once(variable)
    MAKING.synchronize { instance_variable_get(variable) || instance_variable_set(variable, yield) }
  end

  # A manager whose callbacks record into calls; work:, ack:, on_done: and on_error: run inside the recording ones.
  def manager(calls: self.calls, work: nil, on_done: nil, ack: nil, on_error: nil, **settings)
    callbacks = calls.callbacks(work: work, on_done: on_done, ack: ack, on_error: on_error)
    bare_manager(**callbacks, **settings)
  end

  # A manager with nothing but what is given (and no heartbeat), shut down after the example.
  def bare_manager(**settings)
    log
    keep(WorkShaper::Manager.new(heartbeat_period_sec: nil, **settings))
  end

  def keep(shaper)
    @threads_before ||= manager_threads
    (@managers ||= []) << shaper
    shaper
  end

  # A class for whose objects it is @now, once that is set. (Process must not be stubbed: when the stub goes, the method
  # is away for a moment, and threads that ask for the time then die of it.)
  def on_own_clock(owner)
    example = self
    Class.new(owner) { define_method(:now) { example.instance_variable_get(:@now) || super() } }
  end

  def gate
    Gate.new.tap { |made| (@gates ||= []) << made }
  end

  def gates_by_name
    Gates.new.tap { |made| (@gates ||= []) << made }
  end

  # Waits until the block is truthy and returns its value. The reason may be a lambda: it is asked at the end only. (A
  # machine may stand still for longer than the deadline: it must have run for some of that time.)
  def eventually(reason = "the condition never came true")
    deadline = ManagerHelpers.now + DEADLINE
    looks = 0
    until (value = yield)
      if (looks += 1) > LEAST_LOOKS && ManagerHelpers.now > deadline
        reason = reason.call if reason.respond_to?(:call)
        RSpec::Expectations.fail_with("#{reason} (waited #{DEADLINE} s)#{circumstances}")
      end
      sleep(POLL_SEC)
    end
    value
  end

  # What a failure should tell of those that the example has running.
  def circumstances = nil

  # For what is told in seconds: so many pass, at least.
  def let_pass(seconds)
    since = ManagerHelpers.now
    eventually { ManagerHelpers.now - since > seconds }
  end

  # How long no thread of this process ran, at most, while the block did.
  def longest_standstill
    longest = 0
    last = ManagerHelpers.now
    watch = in_thread do
      loop do
        sleep(0.01)
        now = ManagerHelpers.now
        longest = [longest, now - last].max
        last = now
      end
    end
    yield
    [longest, ManagerHelpers.now - last].max
  ensure
    watch.kill
  end

  def in_thread(&block)
    thread = Thread.new do
      Thread.current.report_on_exception = false
      block.call
    end
    (@spec_threads ||= []) << thread
    thread
  end

  # The value of a thread that has to end; its exception is raised here.
  def value_of(thread)
    RSpec::Expectations.fail_with("the call never returned (waited #{DEADLINE} s)") unless thread.join(DEADLINE)
    thread.value
  end

  # For calls that a wrong manager would never return from.
  def bounded(&block)
    value_of(in_thread(&block))
  end

  # A thread that runs the block and has come to rest in it.
  def blocked_thread(&block)
    thread = in_thread(&block)
    eventually("the call did not block") { thread.stop? }
    RSpec::Expectations.fail_with("the call returned instead of blocking") unless thread.status == "sleep"
    thread
  end

  # Waits until the manager says that so many are running and waiting; with none of either all is finished.
  def settle(shaper, running: 0, waiting: 0)
    eventually(-> { "never came to #{running} running, #{waiting} waiting: #{shaper.stats}" }) do
      shaper.stats.values_at(:running, :waiting) == [running, waiting]
    end
  end

  def drained(shaper)
    return shaper if value_of(in_thread { shaper.drain(timeout: DEADLINE - 1) })

    RSpec::Expectations.fail_with("not drained: #{shaper.stats}")
  end

  # stats without what changes with the clock.
  def steady_stats(shaper)
    stats = shaper.stats.except(:rates, :durations)
    stats.merge(partitions: stats[:partitions].transform_values { |fields| fields.except(:oldest_age_sec) })
  end

  def manager_threads
    Thread.list.select { |thread| thread.name.to_s.start_with?("work_shaper") }
  end

  # The log's thread is waited for by a shutdown, but not for ever.
  def threads_left
    manager_threads.select { |thread| thread.alive? && thread.name != "work_shaper log" }
  end

  def worker_threads
    manager_threads.select { |thread| thread.name.start_with?("work_shaper worker") && thread.alive? }
  end

  def with_env(variables)
    before = variables.to_h { |name, _| [name, ENV.fetch(name, nil)] }
    ENV.update(variables)
    yield
  ensure
    ENV.update(before)
  end

  # For examples in which a thread of the manager dies on purpose.
  def without_thread_reports
    before = Thread.report_on_exception
    Thread.report_on_exception = false
    yield
  ensure
    Thread.report_on_exception = before
  end

  def clean_up_managers
    @gates&.each(&:open)
    @managers&.each { |shaper| bounded { shaper.shutdown(timeout: DEADLINE) } }
    if @managers
      eventually(lambda {
        "threads of a manager are left: #{manager_threads}"
      }) { (manager_threads - @threads_before).empty? }
    end
  ensure
    @spec_threads&.each(&:kill)
    WorkShaper.logger = @logger_before if @log
  end
end

RSpec.configure do |config|
  config.include ManagerHelpers
  config.before { @calls = ManagerHelpers::Calls.new }
  config.after { clean_up_managers }
end
