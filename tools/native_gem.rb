# frozen_string_literal: true

require "fileutils"
require "rubygems/package"
require_relative "rubies"

# A precompiled gem: one extension for each Ruby in lib/work_shaper/X.Y/, and no ext/. Built here of this Ruby's and,
# where it may, of those of Debian releases (see Rubies); the workflow release.yml builds the public ones.
class NativeGem
  class Failed < StandardError; end

  NEWEST_GLIBC = Gem::Version.new("2.17") # of 2012: CentOS 7
  EXTENSION = "work_shaper.#{RbConfig::CONFIG["DLEXT"]}".freeze
  # The first that tells -linux-gnu from -linux-musl; older ones get the source gem.
  RUBYGEMS = ">= 3.3.22"

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

  # What the files of a precompiled gem have that those of the source gem do not, and the other way round.
  def self.change(spec, platform, versions)
    spec.platform = Gem::Platform.new(platform)
    spec.extensions.clear
    spec.files.reject! { |name| name.start_with?("ext/") }
    spec.files.concat(versions.map { |version| "lib/work_shaper/#{version}/#{EXTENSION}" })
    oldest, newest = versions.map { |version| Gem::Version.new(version) }.minmax
    spec.required_ruby_version = [">= #{oldest}", "< #{Gem::Version.new("#{newest}.0").bump}.dev"]
    spec.required_rubygems_version = RUBYGEMS
  end

  def initialize
    @rubies = [ThisRuby.new]
    @rubies += Rubies::RELEASES.map { |release| Rubies.new(release) } unless Rubies.missing
    @stage = Clone.path("tmp", "native", "stage")
  end

  def build
    FileUtils.rm_rf(@stage)
    versions = @rubies.map { |ruby| compile(ruby) }.uniq
    versions.each { |version| check_glibc(version) }
    package = pack(versions)
    puts "native: #{package}: Ruby #{versions.join(", ")}; #{File.size(package) / 1000} kB"
    try(package)
  end

  private

  def platform
    Gem::Platform.local.then { |local| local.os == "linux" ? "#{local.cpu}-linux-gnu" : local.to_s }
  end

  # Returns the version of Ruby, "3.1".
  def compile(ruby)
    ruby.prepare
    directory = File.join("tmp", "native", "objects")
    raise Failed unless ruby.execute("ruby", "tools/compile_extension.rb", directory)

    version = File.read(ruby.path(directory, "Makefile"))[/^ruby_version = (\d+\.\d+)/, 1]
    target = File.join(@stage, "lib", "work_shaper", version)
    FileUtils.mkdir_p(target)
    FileUtils.cp(ruby.path(directory, EXTENSION), target)
    version
  end

  def pack(versions)
    spec = Gem::Specification.load(Clone.path("work_shaper.gemspec"))
    copy(spec.files)
    self.class.change(spec, platform, versions)
    built = Dir.chdir(@stage) { Gem::Package.build(spec) }
    FileUtils.mkdir_p(Clone.path("pkg"))
    FileUtils.mv(File.join(@stage, built), Clone.path("pkg"))
    Clone.path("pkg", built)
  end

  def check_glibc(version)
    file = File.join(@stage, "lib", "work_shaper", version, EXTENSION)
    needed = IO.popen(["objdump", "-T", file], &:read).scan(/GLIBC_([\d.]+)/).flatten.map { |text| Gem::Version.new(text) }
    raise Failed, "native: #{file} needs GLIBC #{needed.max}; #{NEWEST_GLIBC} at most" if needed.max > NEWEST_GLIBC
  rescue Errno::ENOENT
    warn "native: objdump is missing, so which GLIBC is needed was not checked"
  end

  def copy(files)
    files.each do |name|
      FileUtils.mkdir_p(File.dirname(File.join(@stage, name)))
      FileUtils.cp(Clone.path(name), File.join(@stage, name))
    end
  end

  # Installed and used by each Ruby, with no compiler in reach.
  def try(package)
    @rubies.each do |ruby|
      copy = ruby.path("tmp", "native", "try.gem")
      FileUtils.cp(package, copy)
      raise Failed unless ruby.execute("ruby", "tools/package_check.rb", copy)
    end
  end
end
