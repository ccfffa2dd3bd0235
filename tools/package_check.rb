# frozen_string_literal: true

# Builds the gem, installs it into an empty directory and uses it there, with nothing else installed:
#
#   ruby tools/package_check.rb
#   ruby tools/package_check.rb pkg/work_shaper-X.Y.Z.gem # one that is built already
#   ruby tools/package_check.rb pkg/work_shaper-X.Y.Z-PLATFORM.gem # a precompiled one, with no compiler in reach
#
# Works without Bundler and without any other gem. Says only `package: ...` when all is well.

require "fileutils"
require "rubygems/package"
require "tmpdir"
require_relative "command"
require_relative "precompiled"

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

    page = %w[/ /page.js /page.css /vendor/uPlot.iife.min.js].map do |path|
      WorkShaper::Web.new.call("REQUEST_METHOD" => "GET", "PATH_INFO" => path).first
    end
    abort "its page is not whole: \#{page}" unless page.uniq == [200]

    loaded = $LOADED_FEATURES.grep(/work_shaper/)
    strange = loaded.reject { |file| file.start_with?(File.realpath(ENV.fetch("GEM_HOME"))) }
    abort "loaded from elsewhere: \#{strange}" if loaded.empty? || strange.any?
    print WorkShaper::VERSION
  RUBY

  # `package`: a gem; nil: the source gem is built.
  def initialize(dir, package)
    @package = package && File.expand_path(package)
    @spec = Gem::Package.new(@package).spec if package
    @dir = File.realpath(dir)
    @home = File.join(@dir, "gems")
    @empty = File.join(@dir, "empty")
    FileUtils.mkdir_p([@home, @empty])
  end

  def run
    build unless @package
    refuse if too_old?
    step("install", *install, *("--force" if too_old?))
    use = step("use", "-e", PROGRAM)
    step("command", File.join(@home, "bin", "work_shaper"), "help", "replay")
    puts "package: work_shaper #{File.read(use.log)} #{"builds, " unless @spec}installs and works"
  end

  private

  def build
    @package = File.join(@dir, "work_shaper.gem")
    step("build", "gem", "build", "--strict", "work_shaper.gemspec", "--output", @package, dir: Clone::ROOT)
  end

  def precompiled?
    @spec && @spec.platform != Gem::Platform::RUBY
  end

  # Whether this RubyGems has to refuse the gem; what is in it is tried all the same.
  def too_old?
    @spec && Precompiled.linux?(@spec) && Gem.rubygems_version < Precompiled::RUBYGEMS
  end

  def refuse
    refused = command("install", *install)
    abort "package: RubyGems #{Gem::VERSION} takes a precompiled gem" if refused.run
    abort refused.excerpt unless refused.excerpt.include?("requires RubyGems version")
  end

  def install
    ["gem", "install", "--local", "--no-document", "--install-dir", @home, @package]
  end

  def step(name, *arguments, dir: @empty)
    command = command(name, *arguments, dir: dir)
    return command if command.run

    abort "#{command.excerpt}package: #{name} failed"
  end

  def command(name, *arguments, dir: @empty)
    arguments = gem_command(arguments) if arguments.first == "gem"
    Command.new(RbConfig.ruby, *arguments, log: "package-#{name}", env: environment, dir: dir, limit: 240)
  end

  # The `gem` of the Ruby that runs this.
  def gem_command(arguments)
    ["-rrubygems/gem_runner", "-e", "Gem::GemRunner.new.run(ARGV)", "--", *arguments.drop(1)]
  end

  # Nothing of what Bundler, a version manager or we set, and no gems except those in the directory.
  def environment
    ENV.keys.grep(/\A(BUNDLE|RUBYOPT|RUBYLIB|GEM_|WORK_SHAPER_)/).to_h { |name| [name, nil] }
       .merge("GEM_HOME" => @home, "GEM_PATH" => @home, "LOG_LEVEL" => "ERROR", "WORK_SHAPER_WERROR" => "1")
       .merge(precompiled? ? { "PATH" => @empty } : {})
  end
end

Dir.mktmpdir("work_shaper") { |dir| PackageCheck.new(dir, ARGV.first).run }
