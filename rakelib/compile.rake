# frozen_string_literal: true

require "rake/extensiontask"

Rake::ExtensionTask.new("work_shaper") do |task|
  task.ext_dir = "ext/work_shaper"
  task.lib_dir = "lib/work_shaper"
  task.source_pattern = "**/*.{c,h}"
end
