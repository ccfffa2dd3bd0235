# frozen_string_literal: true

require "spec_helper"

# What the tests of pool (Go) ask of its dispatchers, with their numbers: Dispatch is push, Receive is each, Done is
# close, SetErr is cancel(error), WorkTimeout and PoolTimeout are timeout and deadline, a WorkerPool for several Starts
# is a Hash of keywords.
RSpec.describe "WorkShaper::Stream in place of pool" do
  { "buffered" => 100, "as many as the workers" => 10, "one" => 1 }.each do |name, seats|
    describe "a pipeline of 3 stages and 100 jobs, #{name}" do
      prelude = <<~RUBY
        POOL = { concurrency: 10, max_in_flight: #{seats} }.freeze
        ran = Array.new(3) { Queue.new }
        pipeline = lambda do |stages|
          stages.drop(1).inject(WorkShaper.stream(0...100, **POOL, &stages[0])) { |stream, work| stream.stage(**POOL, &work) }
        end
        stages = Array.new(3) { |number| ->(job) { ran[number] << job && job + 1 } }
      RUBY

      it "brings all out in order" do
        expect_child_to_pass(prelude + <<~RUBY, limit: 10)
          results = pipeline.call(stages).to_a
          same([*3...103], results, "results")
          same([100] * 3, ran.map(&:size), "jobs of each stage")
          same([], workers, "workers left")
          passed
        RUBY
      end

      it "ends as a whole with one exception when the second stage fails" do
        expect_child_to_pass(prelude + <<~RUBY, limit: 10)
          results = []
          failing = ->(job) { job == 31 ? raise(IOError, "of the second") : stages[1].call(job) }
          last = pipeline.call([stages[0], failing, stages[2]])
          error = raised(IOError) { last.each { |result| results << result } }
          same("of the second", error.message, "error")
          same([*3...33], results, "results before it")
          check(ran[0].size.between?(31, 31 + 2 * #{seats}), "\#{ran[0].size} jobs of the first")
          same([], workers, "workers left")
          passed
        RUBY
      end

      it "ends as a whole when the first result cancels it" do
        expect_child_to_pass(prelude + <<~RUBY, limit: 10)
          results = []
          last = pipeline.call(stages.map { |work| ->(job) { (job == 99 ? sleep : sleep(0.001)) && work.call(job) } })
          raised(WorkShaper::Cancelled) do
            last.each do |result|
              results << result
              last.cancel
            end
          end
          same([3], results, "results")
          check(ran[0].size.between?(1, 99), "\#{ran[0].size} jobs of the first")
          same([], workers, "workers left")
          passed
        RUBY
      end
    end
  end

  it "dispatches from anywhere, until it is done or has an error" do
    expect_child_to_pass(<<~RUBY)
      words = { concurrency: 10, max_in_flight: 100 }.freeze
      first, second, third = Array.new(3) { WorkShaper::Stream.new(**words) { |job| job + 1 } }
      feeders = [[first, second], [second, third]].map do |from, to|
        Thread.new do
          from.each { |result| to << result }
          to.close
        end
      end
      dispatcher = Thread.new do
        100.times { |job| first << job }
        first.close
      end
      same([*3...103], third.to_a, "results")
      [*feeders, dispatcher].each { |thread| ended(thread) }
      raised(WorkShaper::Closed) { first << 1 }
      same([true, nil], [first.closed?, first.error], "closed, error")

      stream = WorkShaper::Stream.new(**words) { |job| job }
      stream << 1
      error = IOError.new("set by the dispatcher")
      stream.cancel(error)
      same(error, raised(IOError) { stream << 2 }, "what push raises")
      same(error, raised(IOError) { stream.each { raise "a result" } }, "what each raises")
      same([true, error], [stream.closed?, stream.error], "closed, error")
      passed
    RUBY
  end

  it "has a timeout for one job, which tells the others nothing, and one for all" do
    expect_child_to_pass(<<~RUBY)
      slow = Queue.new
      words = { concurrency: 10, timeout: 0.5, give_up: ->(error, job) { [error.class, job] } }.freeze
      results = WorkShaper.map(0...100, **words) { |job| job == 50 ? slow.pop : job }
      same([WorkShaper::Timeout, 50], results[50], "the slow one")
      same([*0...100] - [50], results - [results[50]], "the others")

      took = seconds do
        raised(WorkShaper::Timeout) { WorkShaper.map(0...100, concurrency: 10, deadline: 0.1) { slow.pop } }
      end
      check(took.between?(0.099, 5), "the deadline took \#{took} s")
      raised(WorkShaper::Timeout) { WorkShaper.map(0...100, concurrency: 10, timeout: 0.05) { slow.pop } }
      same([], workers, "workers left")
      passed
    RUBY
  end

  it "has a lock for what its jobs share" do
    expect_child_to_pass(<<~RUBY)
      sum = 0
      stream = WorkShaper.stream(1..100, concurrency: 10) do |job|
        stream.synchronize do
          seen = sum
          Thread.pass
          sum = seen + job
        end
      end
      stream.to_a
      same(5_050, sum, "sum")
      passed
    RUBY
  end

  it "survives any workers from 1 to 1024, jobs from 1 to 1000, timeouts from 1 ms" do
    expect_child_to_pass(<<~RUBY, limit: 60)
      random = Random.new(#{rand(1 << 32)}) # shown when it fails
      outcomes = Hash.new(0)
      60.times do |run|
        limit = ->(*seconds) { seconds.sample(random: random) unless run % 4 == 0 }
        workers_at_most, jobs = random.rand(1..1024), random.rand(1..1000)
        words = { concurrency: workers_at_most, ordered: random.rand(2).zero?,
                  max_in_flight: [nil, workers_at_most, jobs].sample(random: random),
                  timeout: limit.call(nil, 0.001, 0.01), deadline: limit.call(nil, 0.001, 0.01, 0.1) }
        stages = random.rand(1..3)
        naps = Array.new(jobs) { random.rand(40).zero? ? random.rand * 0.02 : 0 }
        stream = WorkShaper.stream(0...jobs, **words) { |job| sleep(naps[job]) if naps[job].positive?; job }
        (stages - 1).times { stream = stream.stage(**words) { |job| job } }
        results = []
        begin
          stream.each { |result| results << result }
          same([*0...jobs], words[:ordered] ? results : results.sort, "results of \#{words}")
          outcomes[:all] += 1
        rescue WorkShaper::Timeout
          check(words.values_at(:timeout, :deadline).any?, "a timeout of \#{words}")
          same(results.uniq, results, "results of \#{words}")
          same([*0...results.size], results, "results of \#{words}") if words[:ordered]
          outcomes[:timeout] += 1
        end
        same([], workers, "workers left by \#{words}")
      end
      check(outcomes[:all] > 5 && outcomes[:timeout] > 5, "both ends were seen: \#{outcomes}")
      passed
    RUBY
  end
end
