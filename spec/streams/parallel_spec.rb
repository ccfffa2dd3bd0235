# frozen_string_literal: true

require "spec_helper"

# What the tests of parallel (Go) ask, with their numbers: a Producer is the source, an Executor the block and local,
# the ResultHandler the block of each, ChanWorkQueue is max_in_flight, RateLimitingWorkQueue rate.
RSpec.describe "WorkShaper::Stream in place of parallel" do
  it "sums the squares of 1 to 100 on 4 executors, the handler on one thread and without a lock" do
    expect_child_to_pass(<<~RUBY)
      [true, false].each do |ordered|
        sum = running = most = 0
        handlers = []
        counting = Mutex.new
        WorkShaper.stream(1..100, concurrency: 4, ordered: ordered) do |number|
          counting.synchronize { most = [most, running += 1].max }
          sleep 0.001
          sleep 0.001 until most >= 4 # the first waits for the fourth
          counting.synchronize { running -= 1 }
          number * number
        end.each do |square|
          handlers |= [Thread.current]
          sum += square
        end
        same(338_350, sum, "sum")
        same([Thread.current], handlers, "threads that handled results")
        same(4, most, "executors at once")
      end
      passed
    RUBY
  end

  it "handles what came before the producer's error after 11, and raises it then" do
    expect_child_to_pass(<<~RUBY)
      [true, false].each do |ordered|
        [1, 4, 25].each do |executors|
          producer = Enumerator.new do |queue|
            11.times { |number| queue << number }
            raise IOError, "the producer failed"
          end
          results = []
          stream = WorkShaper.stream(producer, concurrency: executors, ordered: ordered) { |number| number }
          error = raised(IOError) { stream.each { |number| results << number } }
          same("the producer failed", error.message, "error")
          same([*0...11], ordered ? results : results.sort, "results")
          same([], workers, "workers left")
        end
      end
      passed
    RUBY
  end

  it "stops when an executor fails: what is before it is handled, nothing more is produced" do
    expect_child_to_pass(<<~RUBY)
      read = 0
      results = []
      producer = (0..).lazy.map { |number| read = number }
      stream = WorkShaper.stream(producer, concurrency: 4, max_in_flight: 10) do |number|
        number == 50 ? raise(IOError, "no") : number
      end
      raised(IOError) { stream.each { |number| results << number } }
      same([*0...50], results, "results")
      check(read.between?(50, 60), "read up to \#{read}, with 10 seats")
      passed
    RUBY
  end

  it "is cancelled out of the handler at a sum above 1,000, and handles nothing more" do
    expect_child_to_pass(<<~RUBY)
      { cancel: ->(stream) { stream.cancel }, break: nil }.each do |kind, leave|
        sum = count = 0
        stream = WorkShaper.stream(1.., concurrency: 4) { |number| number * number }
        reading = lambda do
          stream.each do |square|
            count += 1
            next unless (sum += square) > 1_000

            leave ? leave.call(stream) : break
          end
        end
        leave ? raised(WorkShaper::Cancelled, &reading) : reading.call
        same([14, 1_015], [count, sum], "results and their sum after \#{kind}")
        same([], workers, "workers left")
      end
      passed
    RUBY
  end

  it "keeps no more than its queue's size of an endless producer, and each executor its own state" do
    expect_child_to_pass(<<~RUBY)
      read = 0
      connections = Queue.new
      stream = WorkShaper.stream((1..).lazy.map { |number| read = number }, concurrency: 3, max_in_flight: 7,
                                 local: -> { Object.new.tap { |made| connections << made } }) do |number, connection|
        [number, connection]
      end
      used = stream.first(200).map.with_index(1) do |(number, connection), expected|
        same(expected, number, "result")
        connection
      end
      check(read <= 207, "\#{read} read for 200 results and 7 seats")
      made = Array.new(connections.size) { connections.pop }
      check(made.size.between?(1, 3), "\#{made.size} connections of 3 executors")
      same([], used.uniq - made, "connections nobody made")
      passed
    RUBY
  end

  it "starts no more than the rate allows, and what has priority first" do
    expect_child_to_pass(<<~RUBY)
      took = seconds { same([*1..40], WorkShaper.map(1..40, concurrency: 20, rate: 100) { |n| n }, "results") }
      check(took.between?(0.389, 10), "40 at 100 a second took \#{took} s")

      gate, started = Queue.new, Queue.new
      stream = WorkShaper::Stream.new(concurrency: 1, max_in_flight: 100, priority: ->(number) { number % 3 }) do |number|
        started << number
        gate.pop if number == 99
      end
      stream << 99
      wait_until("the first runs") { started.size == 1 }
      [*0...30].each { |number| stream << number }
      stream.close
      gate.close
      stream.to_a
      same([99] + [*0...30].sort_by { |number| [-(number % 3), number] }, Array.new(31) { started.pop }, "starts")
      passed
    RUBY
  end
end
