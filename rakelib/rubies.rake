# frozen_string_literal: true

require_relative "../tools/rubies"

desc "Runs bin/test (or COMMAND=...) with the Rubies of Debian #{Rubies::RELEASES.join(" and ")} (or RELEASES=...)"
task :rubies do
  missing = Rubies.missing
  abort "rubies: #{missing} is needed to make roots of other Debian releases" if missing

  command = ENV.fetch("COMMAND", "bin/test").split
  failed = ENV.fetch("RELEASES", Rubies::RELEASES.join(" ")).split.map { |name| Rubies.new(name) }.reject do |rubies|
    rubies.prepare
    puts "rubies: #{rubies.release}: #{rubies.description}"
    rubies.execute(*command)
  end
  abort "rubies: failed in #{failed.map(&:release).join(", ")}" if failed.any?
rescue Rubies::Failed => e
  abort e.message
end
