# frozen_string_literal: true

require "spec_helper"

# An account id out of a payload is chosen by whoever sends it. Factors within one process, of CPU time.
RSpec.describe "Integers that somebody chose as keys" do
  measure = <<~RUBY
    WorkShaper.logger = Logger.new(File::NULL)
    COUNT = 16_000

    def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)

    # All wait behind a busy worker; then a second message of each comes.
    def time_of_sub_keys(keys)
      gate = Queue.new
      m = manager(work: ->(message, *) { gate.pop if message }, ack: ->(*) {}, concurrency: 1, max_in_flight: 200_000)
      m.enqueue(:busy, true, 0, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      began = cpu
      2.times { |round| keys.each_with_index { |key, n| m.enqueue(key, nil, 0, (round * keys.size) + n + 1) } }
      taken = cpu - began
      m.revoke(0)
      gate.close
      m.shutdown(timeout: 10)
      taken
    end

    def time_of_partitions(keys)
      m = manager(work: ->(*) {}, ack: ->(*) {}, max_in_flight: 200_000, max_in_queue: 200_000, acks: :latest,
                  offset_commit_period_ms: 600_000)
      began = cpu
      keys.each { |key| m.enqueue(:key, nil, key, 0) }
      taken = cpu - began
      m.shutdown(timeout: 20)
      taken
    end

    # Whatever is seeded with a secret: these are to be as good as any.
    CHOSEN = {
      xor: Array.new(COUNT) { |i| d = i << 16; (0x0000_1234_0000_5679 ^ (d << 32) ^ d) >> 1 }.select { |n| n.abs < 2**61 }.uniq,
      high: Array.new(COUNT) { |i| i << 45 },
      middle: Array.new(COUNT) { |i| i << 24 },
      halves: Array.new(COUNT) { |i| (i << 31) ^ i },
      negative: Array.new(COUNT) { |i| -(i << 40) - 1 },
      huge: Array.new(COUNT) { |i| (i << 64) + (1 << 90) },
      floats: Array.new(COUNT) { |i| (1 + i).to_f * (2.0**30) }
    }
  RUBY

  %w[xor high middle halves negative huge floats].each do |name|
    it "cost as sub keys about as much as consecutive ones: #{name}" do
      expect_child_to_pass(<<~RUBY, limit: 40)
        #{measure}
        keys = CHOSEN.fetch(:#{name})
        check(keys.uniq.size > COUNT / 4, "enough keys: \#{keys.uniq.size}")
        plain = Array.new(keys.size) { |n| 1_000_000 + n }
        plain = plain.map { |n| n + (1 << 90) } if :#{name} == :huge # no Fixnum is hashed like these
        time_of_sub_keys(plain.first(1_000))
        factors = Array.new(2) { time_of_sub_keys(keys) / time_of_sub_keys(plain) }
        check(factors.min < 4, "factors \#{factors}")
        passed
      RUBY
    end
  end

  it "cost as partitions about as much as consecutive ones" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      #{measure}
      keys = CHOSEN.fetch(:xor).first(4_000)
      plain = Array.new(keys.size) { |n| 1_000_000 + n }
      time_of_partitions(plain.first(500))
      factors = Array.new(2) { time_of_partitions(keys) / time_of_partitions(plain) }
      check(factors.min < 4, "factors \#{factors}")
      passed
    RUBY
  end
end
