# frozen_string_literal: true

require "rake/extensiontask"
require_relative "../tools/build"

task :forget_stale_objects do
  kept = Clone.path("tmp", "frame")
  frame = Build.frame
  next if File.exist?(kept) && File.read(kept) == frame

  rm_rf ["tmp/#{RUBY_PLATFORM}", Build::EXTENSION], verbose: false
  mkdir_p "tmp", verbose: false
  File.write(kept, frame)
end

# First among the prerequisites, so defined before the others.
task compile: :forget_stale_objects

Rake::ExtensionTask.new("work_shaper") do |task|
  task.ext_dir = "ext/work_shaper"
  task.lib_dir = "lib/work_shaper"
  task.source_pattern = "**/*.{c,h}"
end
