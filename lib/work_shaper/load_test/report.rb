# frozen_string_literal: true

module WorkShaper
  # Load tests: see {LoadTest.run}.
  module LoadTest
    # What a load test found. All times are in seconds.
    #
    # In an open model work comes at a rate, whatever becomes of it: the latency of each piece counts from its intended
    # start, so that a stall counts for all that came meanwhile. In a closed model (without a rate) each piece starts
    # when one before it has ended: a stall is then one slow piece, and the report says so.
    #
    # @example
    #   report.latency(99.9) #=> 0.0513
    #   puts report
    class Report
      # How many seconds after its intended time a start is late.
      LATE_AFTER = 0.01

      # How wide a line of the table may be.
      COLUMNS = 80
      # How many rows the distribution may have, and where they may end, in nanoseconds: at ten steps in each power of
      # ten, or, when that is too many, at three.
      ROWS = 24
      STEPS = [[10, 12, 15, 20, 25, 30, 40, 50, 60, 80], [10, 20, 50]].map do |digits|
        (0..18).flat_map { |power| digits.map { |digit| digit * (10**power) } }.freeze
      end.freeze
      UNITS = { "s" => 1.0, "ms" => 1e-3, "us" => 1e-6, "ns" => 1e-9 }.freeze
      private_constant :COLUMNS, :ROWS, :STEPS, :UNITS

      # @return [Histogram] the latencies of all that finished
      attr_reader :histogram
      # @return [Numeric] from the first intended start to the last end
      attr_reader :elapsed
      # @return [Numeric, nil] how many were to start in a second; nil: a closed model
      attr_reader :rate
      # @return [Hash{String => Integer}] how many failed, by the name of what they raised
      attr_reader :errors
      # @return [Integer] how many started more than {LATE_AFTER} after their intended time: the test itself, or its
      #   `concurrency`, could not keep up
      attr_reader :late_starts

      # @param histogram [Histogram] the latencies of all that finished, well or not, each from its intended start
      # @param elapsed [Numeric] seconds from the first intended start to the last end
      # @param rate [Numeric, nil] the intended one, per second; nil: a closed model
      # @param errors [Hash{String => Integer}] how many of them failed, by class
      # @param late_starts [Integer] how many started more than {LATE_AFTER} late
      # @!visibility private
      def initialize(histogram:, elapsed:, rate: nil, errors: {}, late_starts: 0)
        @histogram = histogram
        @elapsed = elapsed
        @rate = rate
        @errors = errors
        @late_starts = late_starts
      end

      # @return [Integer] how many finished, those that failed included
      def finished
        histogram.count
      end

      # @return [Float] how many finished in a second
      def throughput
        elapsed.positive? ? finished.fdiv(elapsed) : 0.0
      end

      # @param percent [Numeric] from 0 to 100
      # @return [Float, nil] the latency within which so many percent finished, to less than 1 %; nil: nothing finished
      # @raise [TypeError, ArgumentError] it is not a number in that range
      # @example
      #   report.latency(50) #=> 0.0049
      def latency(percent)
        histogram.percentile(percent)
      end

      # @return [Float, nil] the mean of the latencies
      def mean
        histogram.mean
      end

      # @return [Float, nil] the longest latency
      def max
        histogram.max
      end

      # @return [Hash{Symbol => Object}] `rate`, `elapsed`, `finished`, `throughput`, `late_starts`, `errors`, `mean`,
      #   `max`, and `latency`, a Hash of percent to seconds
      def to_h
        { rate: rate, elapsed: elapsed, finished: finished, throughput: throughput, late_starts: late_starts,
          errors: errors, mean: mean, max: max, latency: histogram.to_h[:percentiles] }
      end

      # A table: the numbers, and bars of the distribution. Plain text, at most 80 columns.
      #
      # @return [String]
      # @example
      #   puts WorkShaper::LoadTest.run(rate: 200, duration: 30) { client.get(url) }
      def to_s
        lines = [model, "#{finished} finished in #{time(elapsed)}: #{format("%.1f", throughput)} /s", *late, *failed]
        lines.push("", *percentiles, "", *distribution) if finished.positive?
        lines.map { |line| line.length > COLUMNS ? "#{line[0, COLUMNS - 3]}..." : line }.join("\n")
      end

      private

      def model
        return "closed model: a stall hides the load that would have come meanwhile" unless rate

        "open model at #{(rate % 1).zero? ? rate.to_i : rate.to_f} /s: latency from the intended start"
      end

      def late
        "#{late_starts} started more than #{short(LATE_AFTER)} late" if rate
      end

      def failed
        ["#{errors.values.sum} failed",
         *errors.sort_by { |name, count| [-count, name] }.map { |name, count| "  #{count} #{name}" }]
      end

      def percentiles
        rows = histogram.to_h[:percentiles].map { |percent, seconds| ["#{percent} %", seconds] }
        [["mean", mean], *rows, ["max", max]].map { |name, seconds| "#{name.rjust(9)}  #{time(seconds).rjust(7)}" }
      end

      def distribution
        rows = STEPS.map { |steps| rows_of(steps) }.find { |found| found.size <= ROWS } || rows_of(STEPS.last)
        most = rows.map(&:last).max
        rows.map { |edge, count| "up to #{edge.rjust(7)}  #{bar(count, most)}".rstrip }
      end

      def bar(count, most)
        share = format("%5.1f %%", count * 100.fdiv(finished))
        "#{count.to_s.rjust(most.to_s.length)}  #{share}  #{"#" * (count * 40).fdiv(most).ceil}"
      end

      # From the fastest to the slowest; those between them in which there is nothing have their row, too.
      def rows_of(steps)
        counts = Hash.new(0)
        histogram.each do |bound, count|
          nanoseconds = ([bound, max].min * 1e9).round
          counts[steps.bsearch_index { |step| step >= nanoseconds }] += count
        end
        (counts.keys.min..counts.keys.max).map { |index| [short(steps[index] * 1e-9), counts[index]] }
      end

      def unit_of(seconds)
        UNITS.find { |_, size| seconds >= size * 0.9999 } || UNITS.first
      end

      def short(seconds)
        unit, size = unit_of(seconds)
        value = seconds / size
        "#{format(value < 99.5 ? "%.2g" : "%.0f", value)} #{unit}"
      end

      # Three digits, or all before the point.
      def time(seconds)
        unit, size = unit_of(seconds)
        value = seconds / size
        digits = value < 9.995 ? 2 : 1
        "#{format("%.#{value < 99.95 ? digits : 0}f", value)} #{unit}"
      end
    end
  end
end
