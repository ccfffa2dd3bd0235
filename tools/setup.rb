# frozen_string_literal: true

require "etc"
require "fileutils"
require_relative "build"
require_relative "clone"

# Gems into the clone, the extension compiled: what bin/setup does. When nothing changed since the last time it only
# looks at the files; when all is well it says no more than what takes a while.
class Setup
  class Failed < StandardError; end

  # What the installed gems depend on.
  GEM_FILES = %w[Gemfile work_shaper.gemspec lib/work_shaper/version.rb].freeze

  def initialize(purpose, jobs: nil)
    @purpose = purpose
    @jobs = jobs || Etc.nprocessors
  end

  # Raises Failed or Requirements::Missing, with a message to show.
  def run
    FileUtils.mkdir_p(Clone.path("tmp"))
    File.open(Clone.path("tmp", "setup.lock"), "w") do |lock|
      lock.flock(File::LOCK_EX) # bin/demo beside bin/test
      run_alone
    end
  end

  private

  def run_alone
    gems = gems_installed?
    compiled = compiled?
    return if gems && compiled

    require_relative "command"
    require_relative "requirements"
    Requirements.new.check
    install_gems unless gems
    compile unless compiled
  end

  def gems_installed?
    # Those for tests include those for the demo.
    [@purpose, "test"].any? { |purpose| read(gems_stamp(purpose)) == gems_state } &&
      File.exist?(Clone.path("Gemfile.lock"))
  end

  # The lock is made anew: it is of use only to the Ruby that made it, and Bundler older than 2.3.21 cannot read
  # the platform of a precompiled gem back from it.
  def install_gems
    say "installing gems into vendor/bundle (once; #{@purpose == "demo" ? "some 20 seconds" : "a minute or two"})"
    FileUtils.rm_f([Clone.path("Gemfile.lock"), *Clone::GROUPS.keys.map { |purpose| gems_stamp(purpose) }])
    execute(Clone.bundle("install", "--jobs", @jobs.to_s), log: "gems", failure: "the gems could not be installed")
    File.write(gems_stamp(@purpose), gems_state)
  end

  # Among the gems, so that it goes when they go.
  def gems_stamp(purpose)
    Clone.path("vendor", "bundle", "installed-for-#{purpose}")
  end

  def gems_state
    @gems_state ||= [RUBY_DESCRIPTION, *GEM_FILES.map { |name| File.read(Clone.path(name)) }].join("\n")
  end

  def compiled?
    read(compile_stamp) == Build.state && File.exist?(Build::EXTENSION)
  end

  def compile
    say "compiling the extension"
    state = Build.state # before, so that what is edited meanwhile is compiled the next time
    execute(Clone.bundle("exec", "rake", "compile"), log: "compile", failure: "the extension could not be compiled")
    File.write(compile_stamp, state)
  end

  def compile_stamp
    Clone.path("tmp", "compiled")
  end

  def execute(arguments, log:, failure:)
    environment = Clone.environment(@purpose).merge("MAKEFLAGS" => ENV.fetch("MAKEFLAGS", "-j#{@jobs}"))
    command = Command.new(*arguments, log: log, env: environment)
    raise Failed, "#{command.excerpt}setup: #{failure}; what it said is above" unless command.run
  end

  def read(file)
    File.read(file)
  rescue Errno::ENOENT
    nil
  end

  def say(what)
    warn "setup: #{what} ..."
  end
end
