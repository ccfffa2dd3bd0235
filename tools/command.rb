# frozen_string_literal: true

require "fileutils"
require_relative "clone"

# Runs a program silently: its output goes to a log, which is shown when it fails.
class Command
  SHOWN_LINES = 100

  attr_reader :log

  # `limit`: seconds after which the program and all that it started are killed.
  def initialize(*arguments, log:, env: {}, dir: Clone::ROOT, limit: nil)
    @arguments = arguments
    @log = File.join(Clone::LOGS, "#{log}.log")
    @env = env
    @dir = dir
    @limit = limit
  end

  # Returns whether it succeeded.
  def run
    FileUtils.mkdir_p(File.dirname(log))
    program, *rest = @arguments
    # Given as a pair the program is never taken for a command line: its path may have spaces.
    group = Process.spawn(@env, [program, program], *rest,
                          in: File::NULL, out: log, err: %i[child out], chdir: @dir, pgroup: true)
    succeeded = wait(group)
    group = nil
    succeeded
  rescue SystemCallError => e
    File.write(log, "#{e.message}\n", mode: "a")
    false
  ensure
    kill(group) if group
  end

  # The end of its output.
  def excerpt
    lines = File.readlines(log, encoding: "UTF-8").map(&:scrub)
    left_out = lines.size > SHOWN_LINES ? ["... the whole is in #{log}\n"] : []
    (left_out + lines.last(SHOWN_LINES)).join
  end

  private

  def wait(group)
    waiter = Process.detach(group)
    return waiter.value.success? if waiter.join(@limit)

    kill(group)
    File.write(log, "killed after #{@limit} s\n", mode: "a")
    false
  end

  def kill(group)
    Process.kill(:KILL, -group)
  rescue Errno::ESRCH
    nil
  end
end
