# frozen_string_literal: true

require "json"
require "rbconfig"

require_relative "failure"
require_relative "progress"

module Demo
  # What a crash costs: a process that consumes the messages is killed half-way, and another continues.
  class Killed
    MEMBER = File.join(__dir__, "member.rb")

    # `again`: how many messages were worked on a second time.
    Result = Struct.new(:killed_after, :messages, :again, :violations, :committed, keyword_init: true)

    def initialize(group, traffic, ends)
      @group = group
      @traffic = traffic
      @ends = ends
      @next_numbers = Hash.new(0)
      @done = @again = @violations = 0
    end

    def run
      @progress = Progress.new("kill -9", @traffic.count)
      with_member { @done >= @traffic.count / 2.0 }
      killed_after = @done
      with_member { @done == @traffic.count && @group.committed == @ends }
      @progress.stop
      Result.new(killed_after: killed_after, messages: @done, again: @again, violations: @violations,
                 committed: @group.committed)
    end

    def stop
      @stopped = true
    end

    private

    # Lets a process consume until the block returns true, and kills it. It is in a process group of its own, since
    # Ctrl-C is for the demo to handle.
    def with_member
      return if @stopped

      member = IO.popen([RbConfig.ruby, MEMBER, JSON.generate(@group.config), @group.topic], "r+", pgroup: true)
      reader = Thread.new { read(member) }
      until @stopped || yield
        raise Failure, "a consumer ended before its time" if reader.join(0.05)

        @progress.reach(@done)
      end
    ensure
      kill(member, reader) if member
    end

    def kill(member, reader)
      Process.kill(:KILL, member.pid)
      reader&.join
      member.close
    end

    # A process gets each key's messages one after the other, and starts no later than where the process before it
    # stopped.
    def read(member)
      last_numbers = {}
      member.each_line do |line|
        key, number = @traffic.read(line)
        next unless key

        due = last_numbers.key?(key) ? last_numbers[key] + 1 : number.clamp(0, @next_numbers[key])
        @violations += 1 unless number == due
        last_numbers[key] = number
        count(key, number)
      end
    end

    def count(key, number)
      return @again += 1 if number < @next_numbers[key]

      @done += 1
      @next_numbers[key] = number + 1
    end
  end
end
