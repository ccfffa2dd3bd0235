# frozen_string_literal: true

require_relative "../tools/lint"

LINTS = Lint.all.to_h { |lint| [lint.name, lint] }

namespace :lint do
  [*LINTS.values, Lint.thorough].each do |lint|
    desc lint.about
    task(lint.name) { abort "lint: failed" unless lint.report }
  end
end

desc "Runs all linters: #{LINTS.keys.join(", ")}"
task :lint do
  failed = LINTS.values.reject(&:report)
  abort "lint: failed: #{failed.map(&:name).join(", ")}" if failed.any?
end
