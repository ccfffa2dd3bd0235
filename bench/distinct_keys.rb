# frozen_string_literal: true

require_relative "traffic"

module Bench
  # A million sub keys should cost what a hundred cost. Both arrays live through both sides, so that GC marks the same.
  module DistinctKeys
    MESSAGES = 1_000_000
    FEW = 100

    module_function

    def cost(keys)
      Traffic.seconds_through(Traffic.manager, keys, MESSAGES) * 1e9 / MESSAGES
    end

    def compare(table, name, many, few)
      table.ratio(name, unit: "ns", at_most: 1.5, ours: -> { cost(many) }, reference: -> { cost(few) })
    end
  end

  compare "distinct_keys", "cost per message, 1,000,000 distinct keys against 100, no work" do |table|
    strings = Traffic.string_keys(DistinctKeys::MESSAGES)
    DistinctKeys.compare(table, "String keys", strings, strings.first(DistinctKeys::FEW))
    strings = strings.map(&:freeze)
    DistinctKeys.compare(table, "frozen String keys", strings, strings.first(DistinctKeys::FEW))
    integers = Array.new(DistinctKeys::MESSAGES) { |number| number * 7 }
    DistinctKeys.compare(table, "Integer keys", integers, integers.first(DistinctKeys::FEW))
  end
end
