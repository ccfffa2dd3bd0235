# frozen_string_literal: true

require "spec_helper"

# Of a fiber that is left in the middle and never resumed no `ensure` runs, and its stack is gone.
RSpec.describe "A fiber that is dropped inside a method" do
  # A sub key whose hash leaves the fiber the second time: after the wait, while the caller stands in line.
  prelude = <<~RUBY
    class Leaving
      def initialize(leaves: false) = @leaves = leaves
      def eql?(other) = other.is_a?(Leaving)

      def hash
        @count = (@count || 0) + 1
        Fiber.yield if @leaves && @count > 1
        7
      end
    end

    # Overwrites the stacks of dropped fibers, and collects them.
    def forget_fibers
      10.times { Array.new(100) { Fiber.new { Fiber.yield("x" * 1_000) }.tap(&:resume) }; GC.start }
    end
  RUBY
  full = { "a sub key" => ["max_in_queue: 1", "m.enqueue(Leaving.new, nil, 0, 1)"],
           "the whole manager" => ["max_in_flight: 1", ""] }

  full.each do |name, (setting, fill)|
    it "leaves the line for room on #{name} to the others (I5, I7)" do
      expect_child_to_pass(<<~RUBY, limit: 30)
        #{prelude}
        gate = Queue.new
        m = manager(work: gated(gate, 0), #{setting})
        m.enqueue(Leaving.new, nil, 0, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        #{fill}
        dropping = Thread.new { Fiber.new { m.enqueue(Leaving.new(leaves: true), nil, 0, 2) }.resume }
        wait_for_sleep(dropping)
        gate.close
        ended(dropping)
        forget_fibers
        5.times { |n| same(true, m.enqueue(Leaving.new, nil, 0, 3 + n, timeout: 5), "enqueue \#{n}") }
        same(true, m.drain(timeout: 5), "drain")
        same(false, acked[0].include?(2), "the dropped one")
        same(0, m.stats[:sub_keys], "sub keys")
        expect_intact(m)
        passed
      RUBY
    end
  end

  it "is forgotten with the manager in which it waited" do
    expect_child_to_pass(<<~RUBY, limit: 30)
      #{prelude}
      20.times do
        gate = Queue.new
        m = manager(work: gated(gate, 0), max_in_queue: 1)
        m.enqueue(Leaving.new, nil, 0, 0)
        wait_until("at work") { gate.num_waiting == 1 }
        m.enqueue(Leaving.new, nil, 0, 1)
        dropping = Thread.new { Fiber.new { m.enqueue(Leaving.new(leaves: true), nil, 0, 2) }.resume }
        wait_for_sleep(dropping)
        gate.close
        ended(dropping)
        m.shutdown(timeout: 5)
      end
      forget_fibers
      passed
    RUBY
  end
end
