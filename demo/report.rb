# frozen_string_literal: true

require "terminal-table"

module Demo
  # Collects what the demo finds and shows it as a table; what is not known (yet) is a dash.
  class Report
    UNKNOWN = "-"

    attr_writer :one_by_one, :in_parallel, :committed, :high_watermarks

    # 12345 -> "12,345"
    def self.count(number)
      number.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
    end

    def initialize(traffic)
      @traffic = traffic
      @one_by_one = @in_parallel = @committed = @high_watermarks = nil
    end

    def table
      Terminal::Table.new(headings: ["", "one by one", "WorkShaper"], rows: rows) do |table|
        [1, 2].each { |column| table.align_column(column, :right) }
      end
    end

    # What went wrong, in words; empty when all is well.
    def failures
      [("#{violations} messages were worked on out of order" unless violations.zero?),
       ("#{missing} messages were not worked on" unless missing.zero?),
       ("what is committed is not the high watermark" unless @committed && @committed == @high_watermarks)].compact
    end

    private

    def violations
      [@one_by_one, @in_parallel].compact.sum(&:violations)
    end

    def missing
      @traffic.count - (@in_parallel&.messages || 0)
    end

    def rows
      [compare("messages", &:messages),
       compare("seconds") { |result| result.seconds.round(1) },
       compare("messages per second") { |result| result.rate&.round },
       ["speed-up", UNKNOWN, speed_up],
       compare("order violations per key", &:violations),
       ["offset committed on the broker", UNKNOWN, offsets(@committed)],
       ["high watermark", UNKNOWN, offsets(@high_watermarks)],
       compare("highest memory so far, MB") { |result| result.memory&.fdiv(1_000_000)&.round }]
    end

    def compare(title)
      [title] + [@one_by_one, @in_parallel].map do |result|
        value = result && yield(result)
        value ? Report.count(value) : UNKNOWN
      end
    end

    def speed_up
      rates = [@one_by_one, @in_parallel].map { |result| result&.rate }
      rates.all? ? format("%.1f x", rates.last / rates.first) : UNKNOWN
    end

    # One partition's offset, or one line for each of several.
    def offsets(by_partition)
      return UNKNOWN unless by_partition
      return text_of(by_partition.values.first) if by_partition.one?

      by_partition.map { |partition, offset| "partition #{partition}: #{text_of(offset)}" }.join("\n")
    end

    def text_of(offset)
      offset ? Report.count(offset) : UNKNOWN
    end
  end
end
