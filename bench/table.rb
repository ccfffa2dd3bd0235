# frozen_string_literal: true

module Bench
  # One line of the result: the medians of both sides, the ratio (or, without a reference, the figure itself).
  Row = Struct.new(:name, :unit, :ours, :reference, :results, :aim, keyword_init: true)

  # What a figure should be; without a bound it is printed as information only.
  class Aim
    def initialize(at_least: nil, at_most: nil)
      @at_least = at_least
      @at_most = at_most
    end

    def none?
      @at_least.nil? && @at_most.nil?
    end

    def met?(figure)
      (@at_least.nil? || figure >= @at_least) && (@at_most.nil? || figure <= @at_most)
    end

    def to_s
      return ">= #{@at_least}" if @at_least

      @at_most ? "<= #{@at_most}" : ""
    end
  end

  # Collects the rows of one comparison.
  class Table
    attr_reader :rows

    def initialize(rounds)
      @rounds = rounds
      @rows = []
    end

    # The ratio of two sides. Each side is a lambda that returns one figure in +unit+. A first round that does not count
    # warms both up. Every second round starts with the other side, so that a drift of the machine affects both.
    def ratio(name, unit:, ours:, reference:, warm_up: true, **aim)
      [ours, reference].each { |side| measure(side) } if warm_up
      pairs = Array.new(@rounds) { |round| pair(ours, reference, round.odd?) }
      ratios = pairs.map { |mine, other| mine / other.to_f }
      add(ratios, name: name, unit: unit, aim: Aim.new(**aim),
                  ours: median(pairs.map(&:first)), reference: median(pairs.map(&:last)))
    end

    # A figure that stands for itself.
    def figure(name, unit:, rounds: @rounds, **aim, &side)
      figures = Array.new(rounds) { measure(side) }
      add(figures, name: name, unit: unit, aim: Aim.new(**aim), ours: median(figures))
    end

    # A remark in place of figures.
    def remark(name, text)
      @rows << Row.new(name: name, unit: text, results: [], aim: Aim.new)
    end

    private

    def pair(ours, reference, reference_first)
      return [measure(ours), measure(reference)] unless reference_first

      other = measure(reference)
      [measure(ours), other]
    end

    def measure(side)
      GC.start
      side.call
    end

    def add(results, **row)
      @rows << Row.new(results: [median(results), results.min, results.max], **row)
    end

    def median(figures)
      sorted = figures.sort
      middle = sorted.size / 2
      sorted.size.odd? ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2.0
    end
  end
end
