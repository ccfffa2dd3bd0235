# frozen_string_literal: true

desc "Runs all specs"
task(spec: :compile) { ruby "-S", "rspec", verbose: false }
