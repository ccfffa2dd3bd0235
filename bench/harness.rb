# frozen_string_literal: true

require_relative "report"
require_relative "table"

# Comparisons, each a ratio within one run: the rounds of both sides are interleaved, so whatever else the machine does
# affects both. Absolute times are printed for information, and decide nothing.
module Bench
  MESSAGE = "a small message"
  Comparison = Struct.new(:name, :about, :body)

  @comparisons = {}
  @rounds = 5

  class << self
    attr_reader :comparisons
    attr_accessor :rounds

    # Registers a comparison; the block gets a Table and runs later, in a process of its own.
    def compare(name, about, &body)
      comparisons[name] = Comparison.new(name, about, body)
    end

    # Runs the comparisons of these names, each in a process of its own so that no heap is inherited, and prints the
    # results.
    def run(names, out: $stdout)
      report = Report.new(out)
      names.each do |name|
        report.section(comparisons.fetch(name), apart { table_of(comparisons.fetch(name)) })
      end
      report.print
    end

    # Runs the block in a forked process and returns what it returned. The process leaves without running at_exit.
    def apart(&block)
      reader, writer = IO.pipe(binmode: true)
      child = fork { answer(reader, writer, block) }
      writer.close
      answer = reader.read
      _, status = Process.wait2(child)
      raise "a measuring process failed (#{status})" unless status.success?

      Marshal.load(answer) # rubocop:disable Security/MarshalLoad -- written by our own child
    ensure
      reader&.close
    end

    def seconds
      start = now
      yield
      now - start
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    private

    def table_of(comparison)
      require "work_shaper"
      WorkShaper.logger.level = Logger::ERROR
      Table.new(rounds).tap { |table| comparison.body.call(table) }.rows
    end

    def answer(reader, writer, block)
      reader.close
      writer.write(Marshal.dump(block.call))
      writer.close
      exit!(true)
    rescue StandardError => e
      warn e.full_message
      exit!
    end
  end
end
