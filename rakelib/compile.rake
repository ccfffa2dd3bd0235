# frozen_string_literal: true

require "rake/extensiontask"
require_relative "../tools/precompiled"

# A container of rake-compiler-dock says in RUBY_CC_VERSION which Rubies it can compile for: "4.0.2:3.4.9:...". The
# gem's specification is passed on only there: it defines the tasks that make precompiled gems.
spec = Gem::Specification.load(Clone.path("work_shaper.gemspec")) if ENV.key?("RUBY_CC_VERSION")

if spec
  rubies = ENV.fetch("RUBY_CC_VERSION").split(":").map { |version| Gem::Version.new(version) }
  ENV["RUBY_CC_VERSION"] = rubies.select { |version| spec.required_ruby_version.satisfied_by?(version) }.join(":")
end

Rake::ExtensionTask.new("work_shaper", spec) do |task|
  task.ext_dir = "ext/work_shaper"
  task.lib_dir = "lib/work_shaper"
  task.source_pattern = "**/*.{c,h}"

  task.cross_compile = !spec.nil?
  task.cross_platform = Precompiled::PLATFORMS
  task.cross_config_options << "--enable-cross-build" # see extconf.rb
  task.cross_compiling { |native| Precompiled.change(native) }
end

namespace :package do
  next unless spec

  Precompiled::PLATFORMS.each do |platform|
    desc "Builds the precompiled gem for #{platform}"
    task platform do
      Rake::Task["native:#{platform}"].invoke
      binaries = Dir[Clone.path("tmp", platform, "stage", "lib", "work_shaper", "*", "work_shaper.*")]
      binaries.each { |file| Precompiled.check_glibc(file, platform) }
      Rake::Task["pkg/#{spec.full_name}-#{platform}.gem"].invoke # which the task before has defined
    rescue Precompiled::Failed => e
      abort e.message
    end
  end
end

# Source files that come or go change the time of their directory: then the Makefile, which names them, is made again.
directories = Dir["ext/work_shaper{,/*}/"].map { |directory| directory.chomp("/") }
file "tmp/#{RUBY_PLATFORM}/work_shaper/#{RUBY_VERSION}/Makefile" => directories
