# frozen_string_literal: true

require_relative "../tools/suite"

desc "Runs all specs"
task(spec: :compile) { sh(Clone::FOR_SPECS, RbConfig.ruby, "-S", "rspec", verbose: false) }

desc "Everything that bin/test runs, as it does"
task(test: :compile) { abort "test: failed" unless Suite.new({}, [RbConfig.ruby, "-S"]).run }
