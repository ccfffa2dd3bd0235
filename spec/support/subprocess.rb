# frozen_string_literal: true

require "rbconfig"
require "tempfile"
require_relative "watchdog"

# Runs a Ruby script in a process of its own under a hard limit, since a broken extension may hang or crash
# in ways that no Ruby code can end: after the limit the whole process group gets SIGKILL.
module Subprocess
  LIBRARY = File.dirname($LOAD_PATH.resolve_feature_path("work_shaper")[1])
  HELPERS = File.join(__dir__, "child.rb")
  # A suite under Bundler would otherwise load it in every child.
  ENVIRONMENT = { "RUBYOPT" => nil, "BUNDLER_SETUP" => nil, "RUBYLIB" => nil, "LOG_LEVEL" => nil }.freeze
  SHOWN = 20_000

  Result = Struct.new(:stdout, :stderr, :status, :seconds, :ended_at, :killed, :script, keyword_init: true) do
    def passed?
      !killed && status.success? && stdout.end_with?("passed\n")
    end

    def to_s
      <<~TEXT
        #{killed ? "KILLED at the limit" : "ended"} after #{seconds.round(2)} s: #{status}
        --- script
        #{script}
        --- stdout
        #{Subprocess.shorten(stdout)}
        --- stderr
        #{Subprocess.shorten(stderr)}
      TEXT
    end
  end

  # Runs `script` and returns its Result; raises with everything it said when it had to be killed.
  def run_ruby(script, limit: 20, env: {}, arguments: [])
    limit *= Watchdog::BUSY
    result = Subprocess.start(script, limit, env, arguments)
    raise "a subprocess did not end within #{limit} s\n#{result}" if result.killed

    result
  end

  # Runs a script that says `passed` as its last word, with the helpers of child.rb, and expects a quiet
  # stderr unless told what may be there.
  def expect_child_to_pass(script, stderr: /\A\z/, **options)
    result = run_ruby(script, **options)
    expect(result).to be_passed, -> { "the subprocess failed\n#{result}" }
    expect(result.stderr).to match(stderr), -> { "unexpected words on stderr\n#{result}" }
    result
  end

  class << self
    def start(script, limit, env, arguments)
      files = %w[script.rb out err].map { |name| Tempfile.new(["work_shaper", name]) }
      files[0].write(script)
      files[0].close
      began = now
      pid = spawn_child(files, env, arguments)
      waiter = Process.detach(pid)
      killed = end_of_patience(pid, waiter) unless waiter.join(limit)
      ended_at = now
      kill_group(pid)
      Result.new(stdout: File.binread(files[1]), stderr: File.binread(files[2]), status: waiter.value,
                 seconds: ended_at - began, ended_at: ended_at, killed: killed, script: script)
    ensure
      files&.each(&:close!)
    end

    def shorten(text)
      text = text.dup.force_encoding(Encoding::UTF_8).scrub
      text.length > SHOWN ? "#{text[0, SHOWN]}\n... #{text.length} characters in all" : text
    end

    private

    def spawn_child(files, env, arguments)
      script, out, err = files.map(&:path)
      Process.spawn(ENVIRONMENT.merge(env), RbConfig.ruby, *arguments, "-I", LIBRARY, "-r", HELPERS, script,
                    in: File::NULL, out: out, err: err, pgroup: true)
    end

    # SIGSEGV first: Ruby answers with a report of where each frame stands, which SIGKILL would hide.
    def end_of_patience(pid, waiter)
      Process.kill(:SEGV, pid)
      waiter.join(3)
      kill_group(pid)
      waiter.join
      true
    end

    def kill_group(pid)
      Process.kill(:KILL, -pid)
    rescue Errno::ESRCH, Errno::EPERM
      nil # none of it is left
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end

RSpec.configure { |config| config.include Subprocess }
