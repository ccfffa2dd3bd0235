# frozen_string_literal: true

require "tempfile"
require_relative "framework"

module Recipes
  # A recipe at work: a process group of its own, killed when it takes too long.
  class Run
    class Failure < StandardError; end

    # What the work of a recipe printed: at its start (only what `changed` makes of it prints that) and at its end.
    Line = Struct.new(:started, :partition, :offset, :key, :id)
    LINE = /^(start )?(\d+) (\d+) (\S+) (\d+)\n/

    def initialize(framework, *command, env: {}, limit: 60)
      @file = Tempfile.new("recipe")
      # What somebody has set in the shell must not change what is tested.
      inherited = ENV.keys.grep(/\A(WORK_SHAPER_|RACECAR_|KARAFKA_|LOG_LEVEL\z)/).to_h { |name| [name, nil] }
      @pid = Process.spawn(inherited.merge(framework.environment, env), *Clone.bundle("exec", *command),
                           in: File::NULL, out: @file.path, err: %i[child out], pgroup: true)
      @waiter = Process.detach(@pid)
      @deadline = now + limit
    end

    def output
      File.read(@file.path)
    end
    alias to_s output

    def lines
      output.scan(LINE).map do |started, partition, offset, key, id|
        Line.new(started, partition.to_i, offset.to_i, key, id.to_i)
      end
    end

    # What was worked on to the end, in that order.
    def finished
      lines.reject(&:started)
    end

    def running?
      @waiter.alive?
    end

    def signal(name)
      Process.kill(name, -@pid)
    end

    # Its exit status.
    def wait
      return @waiter.value if @waiter.join(@deadline - now)

      raise Failure, "it did not end\n#{self}"
    end

    def wait_until(what)
      until yield
        raise Failure, "ended before #{what}\n#{self}" unless running?
        raise Failure, "no #{what}\n#{self}" if now > @deadline

        sleep 0.01
      end
    end

    def close
      signal(:KILL) if running?
      @waiter.join
      @file.close!
    end

    private

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
