# frozen_string_literal: true

require "terminal-table"

require_relative "in_parallel"
require_relative "traffic"
require_relative "work"

module Demo
  # Collects what the demo finds and shows it; what is not known (yet) is a dash.
  class Report
    UNKNOWN = "-"

    attr_writer :one_by_one, :in_parallel, :failing, :streamed, :killed, :watched

    def initialize(traffic, kafka)
      @traffic = traffic
      @kafka = kafka
    end

    def show_start
      partitions = @kafka.ends.size
      puts "#{number(@traffic.count)} messages of #{Traffic::KEYS.size} keys produced: #{@kafka}, topic " \
           "#{@kafka.topic}, #{partitions} #{partitions == 1 ? "partition" : "partitions"}."
      puts "Work on a message: #{(Work::IO_SEC * 1000).round} ms of simulated I/O. WorkShaper: up to " \
           "#{InParallel::WORKERS} messages at a time."
    end

    def show_table
      puts(Terminal::Table.new(headings: ["", "one by one", "WorkShaper"], rows: rows) do |table|
        [1, 2].each { |column| table.align_column(column, :right) }
      end)
    end

    def show_failing
      return unless @failing

      puts "Work that fails, twice or for ever: tried again #{number(@failing.retried)} times; " \
           "#{number(@failing.dead)} messages are in #{@kafka.dead_letters}; " \
           "#{number(@failing.messages - @failing.dead)} worked on, #{number(@failing.violations)} out of order."
    end

    def show_streamed
      return unless @streamed

      puts "A stream: #{number(@streamed.messages)} messages worked on in parallel, their results saved in the order " \
           "of their offsets; #{number(@streamed.violations)} out of order."
    end

    def show_killed
      return unless @killed

      puts "Killed (kill -9) after #{number(@killed.killed_after)} messages, then started again: " \
           "#{number(@killed.messages)} worked on, #{number(@killed.again)} of them twice, " \
           "#{number(@killed.violations)} out of order."
    end

    def show_page(address)
      puts "The page of a consumer at work (web: 9394): #{address}#{" until Ctrl-C" if $stdout.tty?}"
    end

    # What went wrong, in words; empty when all is well.
    def failures
      results = [@one_by_one, @in_parallel, @failing, @streamed, @killed].compact
      violations = results.sum(&:violations)
      missing = [@in_parallel, @failing, @killed].sum { |result| @traffic.count - (result&.messages || 0) }
      [("#{violations} messages were worked on out of order" unless violations.zero?),
       ("#{missing} messages were not worked on" unless missing.zero?),
       ("what is committed is not what was produced" unless all_committed?),
       ("the page did not answer" if @watched && !@watched.answered)].compact
    end

    private

    def all_committed?
      [@in_parallel, @failing, @killed].all? { |result| result && result.committed == @kafka.ends }
    end

    def rows
      [compare("messages", &:messages),
       compare("seconds") { |result| result.seconds.round(1) },
       compare("messages per second") { |result| result.rate&.round },
       ["speed-up", UNKNOWN, speed_up],
       compare("order violations per key", &:violations),
       compare("worked on again", &:again),
       ["offset committed on the broker", UNKNOWN, offsets(@in_parallel&.committed)],
       ["high watermark", UNKNOWN, offsets(@kafka.ends)],
       compare("highest memory so far, MB") { |result| result.memory&.fdiv(1_000_000)&.round }]
    end

    def compare(title)
      [title] + [@one_by_one, @in_parallel].map do |result|
        value = result && yield(result)
        value ? number(value) : UNKNOWN
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
      offset ? number(offset) : UNKNOWN
    end

    # 12345 -> "12,345"
    def number(number)
      number.to_s.gsub(/(?<=\d)(?=(\d{3})+\z)/, ",")
    end
  end
end
