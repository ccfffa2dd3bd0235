# frozen_string_literal: true

require "json"

module Bench
  module Streams
    # Three stages, at each of which a Hash is generated as JSON and parsed again: as a stream, and as one writes it by
    # hand, with threads and queues (whose results come out as they are finished).
    module Pipeline
      STAGES = 3
      DOCUMENT = Array.new(100) { |number| ["entry-#{number}", "x" * 100] }.to_h.freeze
      WORK = ->(document) { JSON.parse(JSON.generate(document)) }
      NOTHING = ->(document) { document }

      module_function

      def stream(jobs, workers, seats, work = WORK)
        words = { concurrency: workers, max_in_flight: seats }
        source = Enumerator.new { |documents| jobs.times { documents << DOCUMENT } }
        first = WorkShaper.stream(source, **words, &work)
        check(jobs, (STAGES - 1).times.inject(first) { |stage, _| stage.stage(**words, &work) }.count)
      end

      def by_hand(jobs, workers, seats, work = WORK)
        queues = Array.new(STAGES + 1) { Thread::SizedQueue.new(seats) }
        threads = queues.each_cons(2).flat_map { |from, to| stage(from, to, workers, work) }
        threads << Thread.new { jobs.times { queues.first << DOCUMENT } && queues.first.close }
        count = 0
        count += 1 while queues.last.pop
        threads.each(&:join)
        check(jobs, count)
      end

      # Threads, the last of which closes the next queue.
      def stage(from, to, workers, work)
        left = workers
        lock = Mutex.new
        Array.new(workers) do
          Thread.new do
            while (document = from.pop)
              to << work.call(document)
            end
            to.close if lock.synchronize { (left -= 1).zero? }
          end
        end
      end

      def check(jobs, count)
        raise "#{count} of #{jobs} came out" unless count == jobs
      end

      # Small ones are run several times.
      def rate(way, jobs, workers, seats)
        times = 5_000 / jobs
        times * jobs / Bench.seconds { times.times { public_send(way, jobs, workers, seats) } }
      end

      # Objects that are allocated for a job beside those of its work.
      def objects(way, jobs, workers, seats)
        before = GC.stat(:total_allocated_objects)
        public_send(way, jobs, workers, seats, NOTHING)
        (GC.stat(:total_allocated_objects) - before) / jobs.to_f
      end

      def compare(table, jobs, workers)
        { "the jobs" => jobs, "the workers" => workers }.each do |said, seats|
          name = "JSON at 3 stages, #{jobs} jobs on #{workers}, seats = #{said}"
          table.ratio(name, unit: "/s", at_least: 0.95, ours: -> { rate(:stream, jobs, workers, seats) },
                            reference: -> { rate(:by_hand, jobs, workers, seats) })
          table.ratio("  objects for a job", unit: "", ours: -> { objects(:stream, jobs, workers, seats) },
                                             reference: -> { objects(:by_hand, jobs, workers, seats) })
        end
      end
    end
  end
end
