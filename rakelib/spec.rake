# frozen_string_literal: true

desc "Runs all specs"
task(spec: :compile) { sh(Clone::FOR_SPECS, RbConfig.ruby, "-S", "rspec", verbose: false) }
