# frozen_string_literal: true

require "rbconfig"

# Ends an example that takes too long, so that a hang is never mistaken for a slow run.
#
# A thread prints the backtraces of all threads and raises Late into the example, so the others still run. When that
# doesn't end it, the process ends. When no thread of this process can run any more (the GVL is held for ever) a guard
# process ends it: Ruby answers SIGSEGV with a report of where it was.
module Watchdog
  # Not a StandardError, which the code under test may rescue.
  class Late < Exception # rubocop:disable Lint/InheritException
  end

  # The limits of examples and their processes are for a quiet machine. They end what hangs, so they may be generous.
  BUSY = 3

  LATE_GRACE = 10
  GUARD_GRACE = 20

  GUARD = <<~RUBY
    parent, limit = Process.ppid, nil
    loop do
      line = IO.select([$stdin], nil, nil, limit) ? $stdin.gets : :late
      exit!(0) if line.nil? || Process.ppid != parent
      break if line == :late
      limit = line.to_f.zero? ? nil : line.to_f
    end
    Process.kill(:SEGV, parent)
    IO.select([$stdin], nil, nil, 10)
    Process.kill(:KILL, parent) if Process.ppid == parent
  RUBY

  @lock = Mutex.new
  @changed = ConditionVariable.new

  class << self
    def watch(name, seconds)
      start
      arm(name, seconds * BUSY)
      yield
    ensure
      arm(nil, nil)
    end

    # Nothing disarms it: what hangs in the hooks after the suite or in at_exit is ended as well.
    def watch_the_end(seconds)
      start
      arm("the end of the suite", seconds)
    end

    private

    def start
      return if @thread&.alive?

      guard_output, @guard = IO.pipe
      @guard.sync = true
      pid = spawn({ "RUBYOPT" => nil }, RbConfig.ruby, "--disable-gems", "-e", GUARD, in: guard_output)
      Process.detach(pid)
      guard_output.close
      @thread = Thread.new { run }
      @thread.name = "spec watchdog"
    end

    def arm(name, seconds)
      @lock.synchronize do
        @name = name
        @example = Thread.current
        @told = false
        @deadline = seconds && (now + seconds)
        @changed.signal
      end
      @guard.puts(seconds ? seconds + GUARD_GRACE : 0)
    end

    def run
      @lock.synchronize do
        loop do
          end_example if @deadline && now >= @deadline
          @changed.wait(@lock, @deadline && [@deadline - now, 0].max)
        end
      end
    end

    def end_example
      exit!(99) if @told
      @told = true
      @deadline = now + LATE_GRACE
      warn "\nwatchdog: still running: #{@name} (pid #{Process.pid})"
      Thread.list.each { |thread| warn backtrace_of(thread) }
      @example.raise(Late, "the example took too long; the backtraces of all threads are on standard error")
    end

    def backtrace_of(thread)
      "-- #{thread.inspect}\n   #{(thread.backtrace || []).join("\n   ")}"
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
