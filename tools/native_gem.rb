# frozen_string_literal: true

require "fileutils"
require "rubygems/package"
require_relative "precompiled"
require_relative "rubies"

# A precompiled gem of this Ruby's extension and, where possible, of those of Debian releases (see Rubies), to try it
# out; the workflow release.yml builds the public ones.
class NativeGem
  class Failed < StandardError; end

  # This Ruby, with the interface of Rubies.
  class ThisRuby
    def prepare; end

    def execute(*command)
      system(*command, chdir: Clone::ROOT)
    end

    def path(*names)
      Clone.path(*names)
    end
  end

  def initialize
    @rubies = [ThisRuby.new]
    @rubies += Rubies::RELEASES.map { |release| Rubies.new(release) } unless Rubies.missing
    @stage = Clone.path("tmp", "native", "stage")
  end

  def build
    FileUtils.rm_rf(@stage)
    versions = @rubies.map { |ruby| compile(ruby) }.uniq
    versions.each { |version| Precompiled.check_glibc(File.join(@stage, extension(version)), platform) }
    package = pack(versions)
    puts "native: #{package}: Ruby #{versions.join(", ")}; #{File.size(package) / 1000} kB"
    try(package)
  end

  private

  def platform
    local = Gem::Platform.local
    libc = (RUBY_PLATFORM.include?("musl") ? "musl" : "gnu") if local.os == "linux"
    [local.cpu, local.os, libc].compact.join("-")
  end

  # Returns the version of Ruby, "3.1".
  def compile(ruby)
    ruby.prepare
    directory = File.join("tmp", "native", "objects")
    raise Failed, "native: compiling failed" unless ruby.execute("ruby", "tools/compile_extension.rb", directory)

    version = File.read(ruby.path(directory, "Makefile"))[/^ruby_version = (\d+\.\d+)/, 1]
    target = File.join(@stage, extension(version))
    FileUtils.mkdir_p(File.dirname(target))
    FileUtils.cp(ruby.path(directory, Clone::EXTENSION), target)
    version
  end

  def pack(versions)
    spec = Gem::Specification.load(Clone.path("work_shaper.gemspec"))
    copy(spec.files)
    spec.platform = Precompiled.platform(platform)
    spec.files.concat(versions.map { |version| extension(version) })
    Precompiled.change(spec)
    built = Dir.chdir(@stage) { Gem::Package.build(spec) }
    FileUtils.mkdir_p(Clone.path("pkg"))
    FileUtils.mv(File.join(@stage, built), Clone.path("pkg"))
    Clone.path("pkg", built)
  end

  def extension(version)
    "lib/work_shaper/#{version}/#{Clone::EXTENSION}"
  end

  def copy(files)
    files.each do |name|
      FileUtils.mkdir_p(File.dirname(File.join(@stage, name)))
      FileUtils.cp(Clone.path(name), File.join(@stage, name))
    end
  end

  # Installs and uses the gem with each Ruby, with no compiler in reach.
  def try(package)
    inside = File.join("tmp", "native", "try.gem") # in the copy, where the command runs
    @rubies.each do |ruby|
      FileUtils.cp(package, ruby.path(inside))
      raise Failed, "native: the gem does not work" unless ruby.execute("ruby", "tools/package_check.rb", inside)
    end
  end
end
