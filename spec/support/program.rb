# frozen_string_literal: true

require "rbconfig"
require "tempfile"
require_relative "watchdog"

# A program of this repository in a process group of its own, ended with SIGKILL when it takes too long.
class Program
  ROOT = File.expand_path("../..", __dir__)
  # What somebody has set in the shell must not change what is tested.
  ENVIRONMENT = ENV.keys.grep(/\A(WORK_SHAPER_|LIBRDKAFKA_|LOG_LEVEL\z)/).to_h { |name| [name, nil] }.freeze

  def self.ruby(file, *arguments, **options)
    new(RbConfig.ruby, "-I", File.join(ROOT, "lib"), file, *arguments, **options)
  end

  def initialize(*command, env: {}, limit: 40, chdir: Dir.pwd)
    @limit = limit * Watchdog::BUSY
    @files = Array.new(2) { Tempfile.new("program") }
    out, err = @files.map(&:path)
    program, *arguments = command
    @pid = Process.spawn(ENVIRONMENT.merge(env), [program, program], *arguments,
                         in: File::NULL, out: out, err: err, pgroup: true, chdir: chdir)
    @waiter = Process.detach(@pid)
    @guard = Thread.new { kill_overdue unless @waiter.join(@limit) }
  end

  def stdout
    File.read(@files[0].path)
  end

  def stderr
    File.read(@files[1].path)
  end

  def running?
    @waiter.alive?
  end

  # To the whole group, as a terminal does it.
  def signal(name)
    Process.kill(name, -@pid)
  end

  # Returns the exit status, the number of the signal if one ended it.
  def wait
    @guard.join
    raise "killed after #{@limit} s\n#{self}" if @overdue

    @waiter.value.exitstatus || @waiter.value.termsig
  end

  def to_s
    "--- stdout\n#{stdout}\n--- stderr\n#{stderr}"
  end

  # Waits for the block to return what is true; a program that ends before it does not wait for ever.
  def wait_until(what)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + @limit
    until (found = yield)
      raise "ended before #{what}\n#{self}" unless running?
      raise "no #{what} within #{@limit} s\n#{self}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

      sleep 0.005
    end
    found
  end

  def close
    signal(:KILL) if running?
    @guard.join
    @files.each(&:close!)
  end

  private

  def kill_overdue
    @overdue = true
    signal(:KILL)
    @waiter.join
  end
end
