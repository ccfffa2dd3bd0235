# frozen_string_literal: true

require "rbconfig"

# Ends the process when an example takes too long, so that a hang is never mistaken for a slow run.
#
# A thread does it with the backtraces of all threads. When no thread of this process can run any more (the
# GVL is held for ever) a guard process does it: Ruby answers SIGSEGV with a report of where it was.
module Watchdog
  GUARD_GRACE = 15

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
      arm(name, seconds)
      yield
    ensure
      arm(nil, nil)
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
        @deadline = seconds && (now + seconds)
        @changed.signal
      end
      @guard.puts(seconds ? seconds + GUARD_GRACE : 0)
    end

    def run
      @lock.synchronize do
        loop do
          late = @deadline && now >= @deadline
          abort_with_backtraces if late
          @changed.wait(@lock, @deadline && (@deadline - now))
        end
      end
    end

    def abort_with_backtraces
      warn "\nwatchdog: still running: #{@name} (pid #{Process.pid})"
      Thread.list.each { |thread| warn backtrace_of(thread) }
      exit!(99)
    end

    def backtrace_of(thread)
      "-- #{thread.inspect}\n   #{(thread.backtrace || []).join("\n   ")}"
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
