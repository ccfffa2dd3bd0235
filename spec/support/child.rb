# frozen_string_literal: true

# What the scripts of subprocess.rb find on their main object. It is loaded by them with -r, before the
# script; the suite loads it too, to no effect.

# Before anything else: a shell that ignores signals (nohup, a job in the background) hands that down to every process
# below it, and they would not end the child as they should.
%w[HUP INT QUIT TERM ALRM USR1 USR2 TSTP TTIN TTOU].each { |name| trap(name, "DEFAULT") } unless defined?(RSpec)

require "logger"
require "stringio"
require "timeout"
require "work_shaper"

module Child
  # A process that has to be ended by its limit says less than one which gives up by itself.
  PATIENCE = 10

  # Made once, before any thread can be the first to ask.
  def self.extended(main)
    making = Mutex.new
    main.instance_exec do
      @log = StringIO.new
      @worked = []
      @acked = Hash.new { |hash, partition| making.synchronize { hash.fetch(partition) { hash[partition] = [] } } }
    end
  end

  # Offsets in the order in which they were worked on and acknowledged; partition => offsets for the latter.
  attr_reader :log, :worked, :acked

  def manager(**settings)
    WorkShaper::Manager.new(work: ->(_, _, offset) { worked << offset },
                            ack: ->(partition, offset) { acked[partition] << offset },
                            heartbeat_period_sec: 0, offset_commit_period_ms: 1, **settings)
  end

  # Work which waits at the gate (a Queue: closed, it lets everybody through) for the offsets named.
  def gated(gate, *offsets)
    lambda do |_, _, offset|
      gate.pop if offsets.include?(offset)
      worked << offset
    end
  end

  # stats without what is another object each time.
  def steady(stats)
    stats.except(:rates, :durations)
  end

  # A constant, also a private one, has another value from now on.
  def set_constant(owner, name, value)
    owner.send(:remove_const, name) # rubocop:disable RSpec/RemoveConst -- stub_const knows no private ones
    owner.const_set(name, value)
  end

  def workers
    threads_named("work_shaper worker")
  end

  # It gives itself its name when it starts, and is replaced when it was killed.
  def acknowledger
    wait_until("an acknowledger") { threads_named("work_shaper acknowledger").first }
  end

  def manager_threads
    threads_named("work_shaper")
  end

  def threads_named(start)
    Thread.list.select { |thread| thread.name.to_s.start_with?(start) }
  end

  # Looks again and again until the block is true; a condition that never comes ends the process.
  def wait_until(what, seconds = PATIENCE)
    limit = now + seconds
    until (result = yield)
      give_up("never came: #{what}") if now > limit
      sleep 0.001
    end
    result
  end

  def wait_for_sleep(*threads)
    threads.each { |thread| wait_until("#{thread.inspect} asleep") { thread.status == "sleep" } }
  end

  # Kills the thread if it sleeps, and says whether it did. Nobody else runs between the look and the kill: Ruby may
  # switch at the end of any call, but not before the time slice is over, and this one has just begun and lasts 800 ms.
  def kill_asleep?(thread)
    Thread.current.priority = 3
    Thread.pass
    thread.status == "sleep" && thread.kill == thread
  ensure
    Thread.current.priority = 0
  end

  # A thread that is asleep within the block, as the last thing it does.
  def asleep_in(&block)
    thread = Thread.new(&block)
    thread.report_on_exception = false
    wait_for_sleep(thread)
    thread
  end

  # The same for a block that has a limit of its own: it may be over before anybody looks.
  def asleep_or_over_in(&block)
    thread = Thread.new(&block)
    thread.report_on_exception = false
    wait_until("#{thread.inspect} asleep or over") { thread.stop? }
    thread
  end

  def ended(thread, seconds = PATIENCE)
    thread.join(seconds) || give_up("never ended: #{thread.inspect}")
  end

  def same(expected, actual, what = "value")
    give_up("#{what} is #{actual.inspect}, not #{expected.inspect}") unless expected == actual
  end

  def check(truth, what)
    give_up("not so: #{what}") unless truth
  end

  # Returns what the block raised, which must be of that class.
  def raised(expected)
    yield
  rescue Exception => e # rubocop:disable Lint/RescueException
    check(e.is_a?(expected), "#{expected} raised (it was #{e.class}: #{e.message})")
    e
  else
    give_up("#{expected} was not raised")
  end

  def seconds
    start = now
    yield
    now - start
  end

  # The manager is whole: it takes, finishes and acknowledges more, ends cleanly and leaves no thread.
  def expect_intact(manager, partition: :after, fatal: false)
    unless fatal
      3.times { |number| manager.enqueue([:after, number], nil, partition, number, timeout: PATIENCE) }
      same(true, manager.drain(timeout: PATIENCE), "drain")
      same(0, manager.stats[:in_flight], "in flight")
    end
    same(!fatal, manager.shutdown(timeout: PATIENCE), "shutdown")
    check(manager.stats[:fatal].is_a?(String), "fatal says why") if fatal
    same(nil, manager.stats[:fatal], "fatal") unless fatal
    wait_until("no thread left") { manager_threads.empty? }
  end

  # Waits for a child process; it must end in time. Returns its status.
  def child_status(pid, seconds = PATIENCE)
    waiter = Process.detach(pid)
    return waiter.value if waiter.join(seconds)

    Process.kill(:KILL, pid)
    give_up("child #{pid} did not end")
  end

  def passed
    $stdout.puts "passed"
    $stdout.flush
  end

  def give_up(why)
    warn "FAILED: #{why}", caller.join("\n")
    Thread.list.each { |thread| warn "-- #{thread.inspect}", (thread.backtrace || []).join("\n") }
    warn "--- log", log.string
    exit!(1)
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

unless defined?(RSpec)
  TOPLEVEL_BINDING.receiver.extend(Child)
  WorkShaper.logger = Logger.new(TOPLEVEL_BINDING.receiver.log)
end
