# frozen_string_literal: true

require "etc"
require "terminal-table"

module Bench
  # Prints what was measured as one compact table.
  class Report
    HEADINGS = ["comparison", "ours", "reference", "ratio or figure (min..max)", "aim", ""].freeze
    BUSY = 0.5 # load average

    def initialize(out)
      @out = out
      @load = Report.load_average
      @sections = []
    end

    # Keeps a comparison's rows, and says on a terminal that they are there.
    def section(comparison, rows)
      @sections << [comparison, rows]
      warn "#{comparison.name}: done" if $stderr.tty?
    end

    def print
      table = Terminal::Table.new(headings: HEADINGS) do |lines|
        @sections.each_with_index { |(comparison, rows), index| append(lines, comparison, rows, index) }
      end
      (1..3).each { |column| table.align_column(column, :right) }
      @out.puts "Ruby #{RUBY_VERSION}, #{RUBY_PLATFORM}, #{Etc.nprocessors} processors, " \
                "median of #{Bench.rounds} rounds#{interference}", table
    end

    # How many other programs wanted a processor when this began: they make ratios worse, and some better.
    def self.load_average
      File.read("/proc/loadavg").to_f
    rescue SystemCallError
      nil
    end

    private

    def interference
      @load && @load > BUSY ? "; the machine was busy (load #{@load}): take them with care" : ""
    end

    def append(lines, comparison, rows, index)
      lines << :separator if index.positive?
      lines << [{ value: "#{comparison.name}: #{comparison.about}", colspan: HEADINGS.size, alignment: :left }]
      rows.each { |row| lines << cells(row) }
    end

    def cells(row)
      return ["  #{row.name}", { value: row.unit, colspan: HEADINGS.size - 1, alignment: :left }] if row.results.empty?

      ["  #{row.name}", amount(row.ours, row.unit), row.reference ? amount(row.reference, row.unit) : "",
       result(row), row.aim.to_s, verdict(row)]
    end

    def result(row)
      middle, lowest, highest = row.results.map { |figure| number(figure) }
      lowest == highest ? middle : "#{middle} (#{lowest}..#{highest})"
    end

    def verdict(row)
      return "" if row.aim.none?

      row.aim.met?(row.results.first) ? "met" : "missed"
    end

    def amount(figure, unit)
      "#{number(figure)} #{unit}"
    end

    # Three digits that count, thousands set apart.
    def number(figure)
      return figure.round.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",") if figure.abs >= 100

      format(figure.abs < 10 ? "%.2f" : "%.1f", figure)
    end
  end
end
