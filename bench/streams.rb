# frozen_string_literal: true

require_relative "harness"
require_relative "streams/pipeline"

module Bench
  # Results in order, against what they cost without, and against what others offer.
  module Streams
    EMPTY = 100_000
    WORKERS = 12
    NAP = 0.01
    NAPS = 10_000
    UNEQUAL = Random.new(7).then { |random| Array.new(20_000) { random.rand * 0.002 } }.freeze # seconds of work each
    SECONDS = 10
    LIMIT = 0.1 # seconds that work may take

    module_function

    def naps_per_second
      NAPS / Bench.seconds { counted(NAPS, WorkShaper.stream(1..NAPS, concurrency: WORKERS) { sleep(NAP) }) }
    end

    def unequal_per_second(ordered)
      stream = WorkShaper.stream(UNEQUAL, concurrency: WORKERS, ordered: ordered) { |seconds| sleep(seconds) }
      UNEQUAL.size / Bench.seconds { counted(UNEQUAL.size, stream) }
    end

    def counted(expected, results)
      count = results.count
      raise "#{count} of #{expected} came out" unless count == expected
    end

    def empty_per_second
      EMPTY / Bench.seconds { counted(EMPTY, yield(1..EMPTY)) }
    end

    def mapped(**words)
      empty_per_second { |numbers| WorkShaper.map(numbers, concurrency: WORKERS, **words) { |number| number } }
    end

    def parallel
      empty_per_second { |numbers| Parallel.map(numbers, in_threads: WORKERS) { |number| number } }
    end

    def futures
      pool = Concurrent::FixedThreadPool.new(WORKERS)
      empty_per_second do |numbers|
        numbers.map { |number| Concurrent::Promises.future_on(pool) { number } }.map(&:value!)
      end
    ensure
      pool.shutdown
      pool.wait_for_termination
    end

    # When work started at that rate, from the first start on, for so many seconds.
    def starts(rate)
      times = []
      WorkShaper.stream(1.., concurrency: WORKERS, ordered: false, rate: rate) { Bench.now }.each do |time|
        break if times.any? && time - times.first >= SECONDS

        times << time
      end
      times.sort
    end

    # The most that started within any second.
    def most_in_a_second(times)
      first = 0
      times.each_with_index.map do |time, last|
        first += 1 while times[first] <= time - 1
        last - first + 1
      end.max
    end

    # Milliseconds by which a timeout comes too late, the latest of all that hang; the other workers are parked.
    def late(hanging)
      gate = Thread::Queue.new
      ends = WorkShaper.map(1..WORKERS, concurrency: WORKERS, timeout: LIMIT, attempts: 1) do |number|
        start = Bench.now
        number <= hanging ? gate.pop : 0
      rescue WorkShaper::Timeout
        Bench.now - start - LIMIT
      end
      ends.max * 1_000
    end

    def compare_work(table)
      table.ratio("10,000 x 10 ms on 12 workers, against the ideal", unit: "/s", at_least: 0.98, warm_up: false,
                                                                     ours: -> { naps_per_second },
                                                                     reference: -> { WORKERS / NAP })
      table.ratio("20,000 x 0 to 2 ms, ordered, against unordered", unit: "/s", at_least: 0.9,
                                                                    ours: -> { unequal_per_second(true) },
                                                                    reference: -> { unequal_per_second(false) })
    end

    def compare_empty(table)
      table.ratio("100,000 of nothing, against Parallel.map(in_threads: 12)", unit: "/s", at_least: 5,
                                                                              ours: -> { mapped },
                                                                              reference: -> { parallel })
      table.ratio("  with 1,000 seats", unit: "/s", ours: -> { mapped(max_in_flight: 1_000) },
                                        reference: -> { parallel })
      table.ratio("100,000 of nothing, against concurrent-ruby's futures", unit: "/s", at_least: 3,
                                                                           ours: -> { mapped },
                                                                           reference: -> { futures })
    end

    def compare_rates(table)
      [100, 1_000, 10_000].each do |limit|
        rate = WorkShaper::Rate.new(limit)
        times = starts(rate)
        table.figure("#{limit} a second: off over 10 s", unit: "%", at_most: 2, rounds: 1) do
          ((times.size / (limit * SECONDS).to_f) - 1).abs * 100
        end
        table.ratio("  most in a second, against limit + burst", unit: "", at_most: 1, warm_up: false,
                                                                 ours: -> { most_in_a_second(times) },
                                                                 reference: -> { limit + rate.burst })
      end
    end

    def compare_timeouts(table)
      { "one beside 11 parked workers" => 1, "12 at once" => WORKERS }.each do |name, hanging|
        table.figure("timeout, too late: #{name}", unit: "ms", at_most: 20) { late(hanging) }
      end
    end
  end

  compare "streams", "results in order, against the ideal, others, and threads with queues" do |table|
    require "concurrent"
    require "parallel"
    Streams.compare_work(table)
    Streams.compare_empty(table)
    { 1_000 => 10, 100 => 10, 10 => 5 }.each { |jobs, workers| Streams::Pipeline.compare(table, jobs, workers) }
    Streams.compare_rates(table)
    Streams.compare_timeouts(table)
  end
end
