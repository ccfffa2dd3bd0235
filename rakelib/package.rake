# frozen_string_literal: true

desc "Builds the gem, installs it into an empty directory and uses it there"
task(:package) { ruby Clone.path("tools", "package_check.rb"), verbose: false }
