# frozen_string_literal: true

require_relative "../tools/core_tests"

desc "Builds and runs the C tests of the core, with gcc and clang, under ASan and UBSan"
task :core do
  compilers = CoreTests.compilers
  abort "core: neither gcc nor clang is there" if compilers.empty?

  failures = compilers.flat_map do |compiler|
    tests = CoreTests.new(compiler)
    abort "core: spec/core has no test_*.c" if tests.sources.empty?
    failed = tests.run
    puts "core: #{tests.sources.size} programs, #{compiler}, " \
         "#{tests.sanitizers? ? "ASan and UBSan" : "which has no sanitizers here"}: " \
         "#{failed.empty? ? "ok" : "#{failed.size} failed"}"
    failed
  end
  failures.each { |command| warn "#{command.log}:\n#{command.excerpt}" }
  abort "core: failed" if failures.any?
end
