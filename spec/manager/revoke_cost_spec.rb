# frozen_string_literal: true

require "spec_helper"

# A rebalance takes hundreds of partitions away, on the polling thread, and nothing else of Ruby runs meanwhile.
RSpec.describe WorkShaper::Manager, "#revoke of many partitions" do
  measure = <<~RUBY
    WorkShaper.logger = Logger.new(File::NULL)
    def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)

    # `messages` wait, of as many partitions; returns the seconds of CPU that revoking all takes.
    def time_of(partitions, messages)
      gate = Queue.new
      m = manager(work: ->(message, *) { gate.pop if message }, ack: ->(*) {}, concurrency: 1, max_in_queue: messages,
                  max_in_flight: messages + 1)
      m.enqueue(:busy, true, -1, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      messages.times { |n| m.enqueue(yield(n), nil, n % partitions, n) }
      GC.start
      began = cpu
      dropped = partitions.times.sum { |partition| m.revoke(partition).size }
      taken = cpu - began
      same(messages, dropped, "dropped")
      same(1, m.stats[:in_flight], "in flight")
      gate.close
      same(true, m.shutdown(timeout: 10), "shutdown")
      taken
    end
  RUBY
  { "every sub key has one message" => "n", "each sub key has messages of one partition" => "n % 200",
    "each sub key has messages of many partitions" => "n / 500",
    "all wait on one sub key" => ":one" }.each do |what, key|
    it "costs as much as what there is of them, where #{what}" do
      expect_child_to_pass(<<~RUBY, limit: 50)
        #{measure}
        one = time_of(1, 50_000) { |n| #{key} }
        many = time_of(200, 50_000) { |n| #{key} }
        check(many < 1, "200 partitions in \#{many} s, one in \#{one} s")
        check(many < (one * 5) + 0.2, "200 partitions in \#{many} s, one in \#{one} s")
        passed
      RUBY
    end
  end

  it "costs little for partitions of which there is nothing beside much of others" do
    expect_child_to_pass(<<~RUBY, limit: 50)
      #{measure}
      gate = Queue.new
      m = manager(work: ->(message, *) { gate.pop if message == :held }, ack: ->(*) {}, concurrency: 1,
                  max_in_flight: 100_000)
      500.times { |partition| m.enqueue(:idle, nil, partition, 0) }
      same(true, m.drain(timeout: 10), "drain")
      m.enqueue(:busy, :held, :other, 0)
      wait_until("at work") { gate.num_waiting == 1 }
      50_000.times { |n| m.enqueue(n, nil, :other, n + 1) }
      began = cpu
      500.times { |partition| same([], m.revoke(partition), "dropped") }
      taken = cpu - began
      check(taken < 0.5, "500 idle partitions in \#{taken} s")
      m.revoke(:other)
      gate.close
      same(true, m.shutdown(timeout: 10), "shutdown")
      passed
    RUBY
  end
end
