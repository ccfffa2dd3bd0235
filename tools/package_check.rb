# frozen_string_literal: true

# Builds the gem, installs it into an empty directory and uses it there as somebody would who has nothing else:
#
#   ruby tools/package_check.rb
#
# Works without Bundler and without any other gem. Says nothing but `package: ...` when all is well.

require "fileutils"
require "tmpdir"
require_relative "command"

# One check, in a directory that is removed after it.
class PackageCheck
  # Five hundred messages of ten keys: each key in order, every offset acknowledged in turn.
  PROGRAM = <<~RUBY
    require "work_shaper"

    worked = Hash.new { |hash, key| hash[key] = [] }
    acknowledged = []
    shaper = WorkShaper::Manager.new(
      work: ->(key, _partition, offset) { worked[key] << offset },
      ack: ->(_partition, offset) { acknowledged << offset },
      heartbeat_period_sec: nil
    )
    500.times { |offset| shaper.enqueue(offset % 10, offset % 10, 0, offset) }
    abort "it did not shut down: \#{shaper.stats}" unless shaper.shutdown(timeout: 30)
    abort "acknowledged \#{acknowledged}" unless acknowledged == (0...500).to_a
    abort "worked on \#{worked}" unless worked.size == 10 && worked.all? { |key, all| all == (key...500).step(10).to_a }

    loaded = $LOADED_FEATURES.grep(/work_shaper/)
    strange = loaded.reject { |file| file.start_with?(File.realpath(ENV.fetch("GEM_HOME"))) }
    abort "loaded from elsewhere: \#{strange}" if loaded.empty? || strange.any?
    print WorkShaper::VERSION
  RUBY

  def initialize(dir)
    @dir = File.realpath(dir)
    @home = File.join(@dir, "gems")
    @empty = File.join(@dir, "empty")
    FileUtils.mkdir_p([@home, @empty])
  end

  def run
    package = File.join(@dir, "work_shaper.gem")
    step("build", "gem", "build", "--strict", "work_shaper.gemspec", "--output", package, dir: Clone::ROOT)
    step("install", "gem", "install", "--local", "--no-document", "--install-dir", @home, package)
    use = step("use", "-e", PROGRAM)
    puts "package: work_shaper #{File.read(use.log)} builds, installs and works"
  end

  private

  def step(name, *arguments, dir: @empty)
    arguments = gem_command(arguments) if arguments.first == "gem"
    command = Command.new(RbConfig.ruby, *arguments, log: "package-#{name}", env: environment, dir: dir, limit: 240)
    return command if command.run

    abort "#{command.excerpt}package: #{name} failed"
  end

  # The `gem` of the Ruby that runs this.
  def gem_command(arguments)
    ["-rrubygems/gem_runner", "-e", "Gem::GemRunner.new.run(ARGV)", "--", *arguments.drop(1)]
  end

  # Nothing of what Bundler, a version manager or we set, and no gem but those in the directory.
  def environment
    ENV.keys.grep(/\A(BUNDLE|RUBYOPT|RUBYLIB|GEM_|WORK_SHAPER_)/).to_h { |name| [name, nil] }
       .merge("GEM_HOME" => @home, "GEM_PATH" => @home, "LOG_LEVEL" => "ERROR")
  end
end

Dir.mktmpdir("work_shaper") { |dir| PackageCheck.new(dir).run }
