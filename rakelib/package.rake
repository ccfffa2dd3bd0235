# frozen_string_literal: true

desc "Builds the gem, installs it into an empty directory and uses it there"
task(:package) { ruby Clone.path("tools", "package_check.rb"), verbose: false }

namespace :package do
  desc "Builds a precompiled gem for the Rubies at hand, installs and uses it with each, without a compiler"
  task :native do
    require_relative "../tools/native_gem"
    NativeGem.new.build
  rescue NativeGem::Failed, Precompiled::Failed, Rubies::Failed => e
    abort e.message
  end
end
