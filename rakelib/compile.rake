# frozen_string_literal: true

require "rake/extensiontask"

Rake::ExtensionTask.new("work_shaper") do |task|
  task.ext_dir = "ext/work_shaper"
  task.lib_dir = "lib/work_shaper"
  task.source_pattern = "**/*.{c,h}"
end

# Source files that come or go change the time of their directory: then the Makefile, which names them, is made anew.
directories = Dir["ext/work_shaper{,/*}/"].map { |directory| directory.chomp("/") }
file "tmp/#{RUBY_PLATFORM}/work_shaper/#{RUBY_VERSION}/Makefile" => directories
