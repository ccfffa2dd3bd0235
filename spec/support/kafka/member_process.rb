# frozen_string_literal: true

require "json"
require_relative "../../../support/kafka/child_process"
require_relative "work_log"

module KafkaSpecs
  # A member of a group that runs in a process of its own, spec/support/kafka/member.rb. It is killed when it takes
  # longer than its limit.
  class MemberProcess
    SCRIPT = File.join(__dir__, "member.rb")
    PATIENCE_SEC = 30
    SHOWN_LINES = 60
    POLL_SEC = 0.01

    class Failure < StandardError; end

    attr_reader :name, :pid, :log

    # `options`: what member.rb takes, without the log.
    def initialize(name, directory, options, limit: 120, whole_assignments: false)
      @name = name
      @limit = limit
      @said = File.join(directory, "#{name}.said")
      path = File.join(directory, "#{name}.log")
      @log = WorkLog.new(name, path, whole_assignments: whole_assignments)
      input, @orders = IO.pipe
      @pid = KafkaSupport::ChildProcess.spawn_ruby(SCRIPT, JSON.generate(options.merge(log: path)),
                                                   in: input, out: @said, err: %i[child out])
      input.close
      @waiter = Process.detach(@pid)
      @guard = Thread.new { kill_overdue unless @waiter.join(@limit) }
    end

    # Waits until the block, given the log as far as it goes, returns what is true; not beyond the end of the process.
    def await(what, seconds = PATIENCE_SEC)
      deadline = KafkaSupport::ChildProcess.now + (seconds * 1_000_000_000)
      loop do
        running = running?
        found = yield log.read
        return found if found
        raise Failure, "#{name} ended before #{what}\n#{self}" unless running
        raise Failure, "#{name}: no #{what} within #{seconds} s\n#{self}" if KafkaSupport::ChildProcess.now > deadline

        sleep POLL_SEC
      end
    end

    # Waits until it has so many partitions, or any.
    def await_assignment(count = nil)
      await("assignment of #{count || "some"} partitions") do |log|
        count ? log.assignment.size == count : log.assignment.any?
      end
    end

    # What WorkShaper::Consumer#stats says now, by way of JSON.
    def stats(seconds = PATIENCE_SEC)
      before = log.read.last("stats")
      @orders.puts("stats")
      event = await("stats", seconds) { |log| log.last("stats").then { |last| last unless last.equal?(before) } }
      JSON.parse(event.words.join(" "), symbolize_names: true)
    end

    def running?
      @waiter.alive?
    end

    # Whether it ended otherwise than in order or by `kill`.
    def broken_off?
      !running? && log.died_at.nil? && log.read.last("stopped").nil?
    end

    # SIGTERM, but not before the process can take it.
    def term
      await("its start") { |log| log.last("running") }
      Process.kill(:TERM, pid)
    end

    # Asks it to stop by the method instead of the signal.
    def stop
      @orders.puts("stop")
    end

    # Lets go on what hangs.
    def release
      @orders.puts("release")
    end

    # SIGKILL, and waits until it is gone.
    def kill
      asked = KafkaSupport::ChildProcess.now
      begin
        Process.kill(:KILL, pid) if running?
      rescue Errno::ESRCH
        nil # it ended meanwhile
      end
      @waiter.join
      log.died_at ||= [asked, log.latest].max unless log.read.last("stopped")
    end

    # Stopped with SIGSTOP; nothing of it runs any more when this returns.
    def pause
      asked = KafkaSupport::ChildProcess.now
      Process.kill(:STOP, pid)
      sleep 0.001 until ps("state").start_with?("T")
      log.paused_at = [asked, log.read.latest].max
    end

    def resume
      Process.kill(:CONT, pid)
    end

    # Waits for its end and returns what `run` returned.
    def wait(seconds = PATIENCE_SEC)
      raise Failure, "#{name} did not end within #{seconds} s\n#{backtraces}" unless @waiter.join(seconds)
      raise Failure, "#{name} was killed after #{@limit} s\n#{self}" if @overdue

      stopped = log.read.last("stopped")
      raise Failure, "#{name} did not stop in order: #{@waiter.value}\n#{self}" unless stopped

      stopped.words == ["true"]
    end

    # What it said, with the backtraces of its threads, as far as it obeys.
    def backtraces
      Process.kill(:TTIN, pid)
      await("backtraces", 5) { said(/Backtrace/).any? }
      to_s
    rescue Errno::ESRCH, Failure
      to_s
    end

    # librdkafka's words for a broker that got no processor for some seconds.
    SLOW_BROKER = /rdkafka: .*(request\(s\) timed out: disconnect|in state APIVERSION_QUERY)/
    private_constant :SLOW_BROKER

    # What it warned of, from ERROR on.
    def complaints
      said(/\b(ERROR|FATAL|BUG)\b/).grep_v(SLOW_BROKER)
    end

    # What it said so.
    def said(pattern)
      File.readlines(@said).grep(pattern)
    end

    # Resident memory in megabytes.
    def resident
      ps("rss").to_i / 1_024.0
    end

    def close
      kill
      @guard.join
      @orders.close
    end

    def to_s
      said = File.readlines(@said)
      events = log.read.events.last(20).map { |event| "#{event.at} #{event.kind} #{event.words.join(" ")}" }
      ended = ", #{@waiter.value}" unless running?
      ["--- #{name}: #{log.attempts.size} started, #{log.finished} finished#{ended}", *events,
       "--- #{name} said", *said.last(SHOWN_LINES)].map(&:chomp).join("\n")
    end

    private

    # One of the fields of ps; where there is /proc, without a process for it.
    def ps(field)
      return `ps -o #{field}= -p #{pid}`.strip unless File.exist?("/proc/self/status")

      File.read("/proc/#{pid}/status")[/^#{{ "state" => "State", "rss" => "VmRSS" }.fetch(field)}:\s+(.*)$/, 1]
    end

    def kill_overdue
      @overdue = true
      kill
    end
  end
end
