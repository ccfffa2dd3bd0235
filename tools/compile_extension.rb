# frozen_string_literal: true

# Compiles the extension for the Ruby that runs this, as it goes into a precompiled gem: not linked with libruby, which
# the process has anyway, and without symbols. ruby tools/compile_extension.rb DIRECTORY

require "etc"
require_relative "command"

directory = File.expand_path(ARGV.fetch(0))
FileUtils.rm_rf(directory)
FileUtils.mkdir_p(directory)

steps = {
  "extconf" => [RbConfig.ruby, Clone.path("ext", "work_shaper", "extconf.rb")],
  "make" => ["make", "-j#{Etc.nprocessors}", "LIBRUBYARG_SHARED=", "LIBRUBYARG="],
  "strip" => ["strip", RUBY_PLATFORM.include?("darwin") ? "-x" : "--strip-unneeded",
              Clone::EXTENSION]
}
steps.each do |name, arguments|
  command = Command.new(*arguments, log: "native-#{name}", dir: directory)
  abort "#{command.excerpt}native: #{name} failed" unless command.run
end
