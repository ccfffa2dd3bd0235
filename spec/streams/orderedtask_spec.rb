# frozen_string_literal: true

require "spec_helper"

# What the tests of orderedtask (Go) ask of its Pool, with their numbers: Enqueue is push, Results is each, AquireTicket
# is a push with a block, workerlocal is local.
RSpec.describe "WorkShaper::Stream in place of orderedtask" do
  it "brings 9,333 tasks of 5 ms on 12 workers out in order, each worker with a state of its own" do
    expect_child_to_pass(<<~RUBY)
      made, released = Queue.new, Queue.new
      stream = WorkShaper::Stream.new(concurrency: 12, local: -> { [0].tap { |state| made << state } },
                                      release: ->(state) { released << state }) do |task, state|
        seen = state[0]
        sleep 0.005
        state[0] = seen + 1 # nobody else has it
        task * 2
      end
      pusher = Thread.new do
        9_333.times { |index| stream.push(index, index: index) }
        stream.close
      end
      results = stream.map(&:itself)
      ended(pusher)
      same(Array.new(9_333) { |index| index * 2 }, results, "results")
      states = Array.new(made.size) { made.pop }
      check(states.size.between?(1, 12), "\#{states.size} states on 12 workers")
      same(9_333, states.sum(&:first), "tasks of all workers")
      same(states.map(&:object_id).sort, Array.new(released.size) { released.pop.object_id }.sort, "released")
      same([], workers, "workers left")
      passed
    RUBY
  end

  # (Theirs are of 5 ms, which would be 23 s here.)
  it "feeds and reads 9,333 tasks on 2 workers from one thread" do
    expect_child_to_pass(<<~RUBY, limit: 50)
      results = []
      stream = WorkShaper::Stream.new(concurrency: 2) { |task| sleep(0.0005) && task }
      9_333.times do |index|
        stream.push(index, index: index) { |result| results << result }
        check(stream.stats[:in_flight] <= 8, "no more inside than there are seats")
      end
      check(results.size >= 9_325, "\#{results.size} results came meanwhile")
      stream.close.each { |result| results << result }
      same([*0...9_333], results, "results")
      passed
    RUBY
  end

  it "brings 155,552 tasks of nothing out of 555 workers in order" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      wrong = index = 0
      stream = WorkShaper::Stream.new(concurrency: 555) { |task| task }
      pusher = Thread.new do
        155_552.times { |task| stream.push(task, index: task) }
        stream.close
      end
      stream.each do |result|
        wrong += 1 unless result == index
        index += 1
      end
      ended(pusher)
      same([155_552, 0], [index, wrong], "results, those out of order")
      same([155_552, 155_552, 0], stream.stats.values_at(:pushed, :taken, :in_flight), "pushed, taken, in flight")
      passed
    RUBY
  end

  it "does not keep a result for the next push of a slow producer" do
    expect_child_to_pass(<<~RUBY)
      came = Queue.new
      stream = WorkShaper::Stream.new(concurrency: 12) { |task| task }
      reader = Thread.new { stream.each { |result| came << result } }
      300.times do |index|
        stream.push(index, index: index * 3)
        same(index, came.pop(), "the result of what alone is inside")
      end
      stream.close
      ended(reader)
      passed
    RUBY
  end

  it "holds 12 producers back before a slow reader, and none of them for ever" do
    expect_child_to_pass(<<~RUBY)
      most = 0
      turn = Mutex.new
      index = -1
      stream = WorkShaper::Stream.new(concurrency: 12) { |task| task }
      producers = Array.new(12) do
        Thread.new { 50.times { turn.synchronize { stream.push(index += 1, index: index) } } }
      end
      results = Array.new(600) do
        stream.next.tap do
          sleep 0.001
          most = [most, stream.stats[:in_flight]].max
        end
      end
      producers.each { |producer| ended(producer) }
      same([*0...600], results, "results")
      same(48, most, "most inside")
      passed
    RUBY
  end

  it "brings what is inside out by index, whoever pushed it, and what comes late at once" do
    expect_child_to_pass(<<~RUBY)
      gate = Queue.new
      stream = WorkShaper::Stream.new(concurrency: 12, max_in_flight: 100) { |task| gate.pop || task }
      [*0...100].shuffle.each_slice(10).map do |slice|
        Thread.new { slice.each { |index| stream.push(index * 7, index: index * 7) } }
      end.each { |pusher| ended(pusher) }
      gate.close
      same(Array.new(50) { |index| index * 7 }, Array.new(50) { stream.next(timeout: 5) }, "first half")
      stream.push(:late, index: 3).push(:twice, index: 350).close
      same(:late, stream.next(timeout: 5), "the one whose turn it is")
      same(["350", "twice"], Array.new(2) { stream.next(timeout: 5).to_s }.sort, "duplicates, in any order")
      same(Array.new(49) { |index| (index + 51) * 7 }, stream.to_a, "the rest")
      passed
    RUBY
  end
end
