# frozen_string_literal: true

require "optparse"
require_relative "harness"

comparisons = %w[no_op predecessor io failing cpu distinct_keys blocked_head hand_off memory idle consumer streams]
comparisons.each { |name| require_relative name }

parser = OptionParser.new do |options|
  options.banner = "Usage: bin/bench [--rounds N] [--list] [NAME...]"
  options.on("--rounds N", Integer, "how often to measure each side (#{Bench.rounds})") { |count| Bench.rounds = count }
  options.on("--list", "the names of the comparisons") do
    comparisons.each { |name| puts format("%-14<name>s %<about>s", name: name, about: Bench.comparisons[name].about) }
    exit
  end
end

begin
  names = parser.parse(ARGV)
  unknown = names - comparisons
  abort "no comparison #{unknown.join(", ")}; there are #{comparisons.join(", ")}" if unknown.any?
  abort "--rounds takes a number from 1" unless Bench.rounds.positive?
rescue OptionParser::ParseError => e
  abort "#{e.message}\n#{parser}"
end
Bench.run(names.empty? ? comparisons : names)
