# frozen_string_literal: true

require "spec_helper"

# Ratios of CPU time within one process.
RSpec.describe WorkShaper::Manager, "callers that are blocked, a thousand of them" do
  measure = <<~RUBY
    WorkShaper.logger = Logger.new(File::NULL)
    def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)

    # CPU time for `messages` while `count` others are blocked by `block`.
    def time_with(count, messages, settings, fill, block, flow)
      gate = Queue.new
      m = manager(work: ->(message, *) { gate.pop if message }, ack: ->(*) {}, concurrency: 3, **settings)
      fill.call(m)
      wait_until("at work") { gate.num_waiting >= 1 }
      blocked = Array.new(count) do |n|
        Thread.new do
          block.call(m, n)
        rescue WorkShaper::ShuttingDown
          nil
        end
      end
      wait_for_sleep(*blocked)
      GC.start
      began = cpu
      messages.times { |n| flow.call(m, n) }
      taken = cpu - began
      m.request_shutdown
      gate.close
      blocked.each { |thread| ended(thread) }
      same(true, m.shutdown(timeout: 10), "shutdown")
      taken
    end

    def check_cost(*arguments)
      time_with(1, 500, *arguments)
      factors = Array.new(2) { time_with(1_000, 5_000, *arguments) / time_with(1, 5_000, *arguments) }
      check(factors.min < 3, "a thousand cost \#{factors} times as much as one")
    end
  RUBY

  it "cost little when they are blocked on full sub keys and others move" do
    expect_child_to_pass(<<~RUBY, limit: 50)
      #{measure}
      fill = lambda do |m|
        2.times { |n| m.enqueue([:running, n], true, 1, n) }
        wait_until("started") { m.stats[:running] == 2 }
        m.enqueue([:running, 0], true, 1, 10)
        m.enqueue([:running, 1], true, 1, 11)
      end
      block = ->(m, n) { m.enqueue([:running, n % 2], nil, 1, 100 + n) }
      flow = ->(m, n) { m.enqueue(n % 20, nil, 0, n) }
      check_cost({ max_in_queue: 1 }, fill, block, flow)
      passed
    RUBY
  end

  it "cost little when all are blocked on one full sub key and others move through full queues" do
    expect_child_to_pass(<<~RUBY, limit: 50)
      #{measure}
      fill = lambda do |m|
        m.enqueue(:full, true, 1, 0)
        wait_until("started") { m.stats[:running] == 1 }
        m.enqueue(:full, true, 1, 1)
      end
      block = ->(m, n) { m.enqueue(:full, nil, 1, 100 + n) }
      flow = ->(m, n) { m.enqueue(n % 3, nil, 0, n) } # waits for its own sub key now and then
      check_cost({ max_in_queue: 1 }, fill, block, flow)
      passed
    RUBY
  end

  it "cost little when they wait at max_in_flight for what goes in and out" do
    expect_child_to_pass(<<~RUBY, limit: 50)
      #{measure}
      # So many threads enqueue what it takes in all, each waiting for room; the time of a message is compared.
      def time_of(threads, messages)
        m = manager(work: ->(*) {}, ack: ->(*) {}, concurrency: 3, max_in_flight: 10)
        go = Queue.new
        feeders = Array.new(threads) do |thread|
          Thread.new do
            go.pop
            (messages / threads).times { |n| m.enqueue([thread, n], nil, thread % 4, (n * threads) + thread) }
          end
        end
        wait_for_sleep(*feeders)
        began = cpu
        go.close
        feeders.each { |feeder| ended(feeder, 40) }
        same(true, m.drain(timeout: 10), "drain")
        taken = cpu - began
        same(true, m.shutdown(timeout: 10), "shutdown")
        taken
      end
      # Fifty block, too, and as often. By itself the factor is 1 to 3.5, by how often threads take turns; when all who
      # wait are woken for each message, it does not end in 40 s.
      time_of(50, 500)
      factors = Array.new(2) { time_of(1_000, 10_000) / time_of(50, 10_000) }
      check(factors.min < 8, "a thousand cost \#{factors} times as much as fifty")
      passed
    RUBY
  end
end
