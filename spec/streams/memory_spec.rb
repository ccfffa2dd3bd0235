# frozen_string_literal: true

require "spec_helper"

RSpec.describe WorkShaper::Stream do
  describe "memory" do
    # Inputs and results of 100 kB each, of which the process can say how many it holds.
    prelude = <<~RUBY
      SEATS = 48
      LEEWAY = 16 # what the stacks of threads may still refer to
      class Load
        def initialize
          @bytes = "x" * 100_000
        end
      end

      def loads
        GC.start
        ObjectSpace.each_object(Load).count
      end

      def resident # MB
        GC.start
        Integer(File.read("/proc/self/status")[/^VmRSS:\\s+(\\d+)/, 1]) / 1024
      end
    RUBY

    it "is flat behind a slow head, however often" do
      expect_child_to_pass(prelude + <<~RUBY, limit: 60)
        gate = Queue.new
        read = -1
        source = (0..).lazy.map { |number| [read = number, Load.new] }
        stream = WorkShaper.stream(source, concurrency: 12, max_in_flight: SEATS) do |number, load|
          gate.pop if number % 100 == 0
          load
        end
        taken = 0
        reader = asleep_in { stream.each { taken += 1 } }
        most = 0
        after_some = nil
        60.times do |round|
          wait_until("all seats taken behind the head") do
            taken == round * 100 && stream.stats.values_at(:in_flight, :running) == [SEATS, 1]
          end
          check(read <= taken + SEATS, "read up to \#{read}, taken \#{taken}")
          most = [most, loads].max
          after_some ||= resident if round == 10
          gate << true
        end
        check(most.between?(SEATS, SEATS + LEEWAY), "\#{most} inputs alive")
        grown = resident - after_some
        check(grown < 100, "\#{grown} MB more, after 500 MB of inputs")
        reader.kill
        gate.close
        ended(reader)
        passed
      RUBY
    end

    { "each" => "stream.each(&slow)", "next" => "loop { slow.call(stream.next) }" }.each do |name, reading|
      it "is flat before a slow reader, by #{name}" do
        expect_child_to_pass(prelude + <<~RUBY, limit: 60)
          read = taken = most = 0
          source = (1..2_000).lazy.map { |number| (read = number) && Load.new }
          stream = WorkShaper.stream(source, concurrency: 12, max_in_flight: SEATS) { Load.new }
          slow = lambda do |_result|
            taken += 1
            next unless taken % 100 == 0

            wait_until("all to be finished") { stream.stats.values_at(:waiting, :running) == [0, 0] }
            inside, alive = stream.stats[:in_flight], loads
            check(inside <= SEATS && inside <= alive, "\#{inside} inside, \#{alive} results alive")
            check(read <= taken + SEATS + 1, "read \#{read}, taken \#{taken}")
            most = [most, alive].max
          end
          #{reading}
          same([2_000, 2_000], [read, taken], "read, taken")
          check(most <= SEATS + LEEWAY, "\#{most} results alive")
          check(loads <= LEEWAY, "\#{loads} alive at the end")
          passed
        RUBY
      end
    end

    it "is flat at the seats of all stages before a slow reader" do
      expect_child_to_pass(prelude + <<~RUBY, limit: 60)
        taken = most = 0
        words = { concurrency: 4, max_in_flight: 12 }
        read = 0
        stream = WorkShaper.stream((1..1_000).lazy.map { |number| (read = number) && Load.new }, **words, &:itself)
        3.times { stream = stream.stage(**words) { Load.new } }
        stream.each do
          next unless (taken += 1) % 100 == 0

          pools = stream.send(:pools)
          wait_until("nothing to move any more") { pools.all? { |pool| pool.stats.values_at(:waiting, :running) == [0, 0] } }
          check(read <= taken + SEATS + 1, "read \#{read}, taken \#{taken}")
          most = [most, loads].max
        end
        same(1_000, taken, "taken")
        check(most <= SEATS + LEEWAY, "\#{most} alive")
        passed
      RUBY
    end

    it "is no larger after 100,000 inputs than after 1,000" do
      expect_child_to_pass(<<~RUBY, limit: 60)
        require "objspace"
        stream = WorkShaper::Stream.new(concurrency: 12, key: ->(number) { number }) { |number| number }
        pass = lambda do |numbers|
          numbers.each { |number| stream.push(number) {} }
          wait_until("all to come out") do
            stream.next(timeout: 0) while stream.stats[:in_flight].positive?
          rescue WorkShaper::Timeout
            false
          else
            true
          end
          ObjectSpace.memsize_of(stream.instance_variable_get(:@pool))
        end
        small = pass.call(0...1_000)
        large = pass.call(1_000...100_000)
        check(large <= small * 2, "\#{large} bytes, \#{small} after 1,000")
        stream.close.each {}
        passed
      RUBY
    end
  end

  describe "1,000 early ends" do
    # What makes the stream, how it is read, and what that raises.
    ends = {
      "by a break" => ["endless", "stream.each { |number| break if number == 5 }", nil],
      "by first" => ["endless", "stream.first(5)", nil],
      "by an exception in the reader" => ["endless", 'stream.each { |number| raise IOError, "no" if number == 5 }',
                                          "IOError"],
      "by cancel" => ["endless", "stream.each { |number| stream.cancel if number == 5 }", "WorkShaper::Cancelled"],
      "by cancel from another thread" => ["endless", "stream.each { Thread.new { stream.cancel }.join }",
                                          "WorkShaper::Cancelled"],
      "by a kill of the reader" => ["endless", "asleep_in { stream.each { hang.pop } }.kill.join", nil],
      "by an error in work" => ["failing", "stream.each {}", "IOError"],
      "by an error of the source" => ["broken", "stream.each {}", "IOError"],
      "by the deadline" => ["hanging", "stream.each {}", "WorkShaper::Timeout"],
      "by an error in next" => ["failing", "loop { stream.next }", "IOError"],
      "by an error in the second stage" => ["two", "stream.each {}", "IOError"]
    }

    ends.each do |kind, (made, reading, error)|
      it "#{kind} leave no thread, item or seat" do
        expect_child_to_pass(<<~RUBY, limit: 60)
          hang = Queue.new
          fail_at_7 = ->(number) { number == 7 ? raise(IOError, "no") : number }
          broken = Enumerator.new { |inputs| 7.times { |number| inputs << number } && raise(IOError, "no") }
          streams = {
            endless: ->(words) { WorkShaper.stream(1.., **words) { |number| number } },
            failing: ->(words) { WorkShaper.stream(1.., **words, &fail_at_7) },
            broken: ->(words) { WorkShaper.stream(broken, **words) { |number| number } },
            hanging: ->(words) { WorkShaper.stream(1.., **words, deadline: 0.001) { hang.pop } },
            two: ->(words) { WorkShaper.stream(1.., **words) { |number| number }.stage(**words, &fail_at_7) }
          }
          threads = Thread.list
          1_000.times do |round|
            stream = streams[:#{made}].call({ concurrency: 4, ordered: round.even?, max_in_flight: 4 + (round % 13) })
            pools = stream.send(:pools)
            reading = -> { #{reading} }
            #{error ? "raised(#{error}, &reading)" : "reading.call"}
            same(threads, Thread.list, "threads after \#{round}")
            pools.each do |pool|
              same([0] * 5, pool.stats.values_at(:in_flight, :waiting, :running, :retrying, :workers), "left by \#{round}")
            end
          end
          GC.start
          kept = ObjectSpace.each_object(WorkShaper::Stream).count
          check(kept < 20, "\#{kept} streams alive")
          passed
        RUBY
      end
    end
  end
end
