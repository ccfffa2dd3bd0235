# frozen_string_literal: true

require "etc"
require "fileutils"
require_relative "../../tools/clone"
require_relative "../../tools/command"

module Frameworks
  # A framework in a bundle of its own: its Gemfile and lock below tmp, its gems in vendor/frameworks. These begin as
  # links to those of the clone: RubyGems writes a specification bit by bit, and who starts meanwhile reads half of it.
  class Framework
    class Failure < StandardError; end

    # A RubyGems that does not tell musl from glibc (Debian 12's) gets newer ones as source: a minute of a C compiler.
    musl, glibc = %w[x86_64-linux-musl x86_64-linux].map { |name| Gem::Platform.new(name) }
    PRECOMPILED = musl === glibc ? { "NOKOGIRI" => "< 1.17", "SQLITE3" => "< 2" }.freeze : {}.freeze # rubocop:disable Style/CaseEquality
    private_constant :PRECOMPILED

    # `name`: of the framework, of its Gemfile in gemfiles/, and of the example.
    def initialize(name)
      @name = name
    end

    def example
      Clone.path("examples", "#{@name}.rb")
    end

    # Installs it once, without a word; it takes some seconds.
    def install
      FileUtils.mkdir_p(directory)
      Clone.locked { install_alone unless installed? }
      self
    end

    # To call `bundle exec` with.
    def environment
      Clone.environment("test").merge("BUNDLE_GEMFILE" => gemfile, "BUNDLE_PATH" => gems, "BUNDLE_WITH" => "",
                                      "RUBYOPT" => nil, "RUBYLIB" => Clone.path("lib"), **PRECOMPILED)
    end

    # What it makes lies here.
    def directory
      Clone.path("tmp", "frameworks", @name)
    end

    private

    def gems
      Clone.path("vendor", "frameworks")
    end

    def gemfile
      File.join(directory, "Gemfile")
    end

    def source
      File.join(__dir__, "gemfiles", "#{@name}.gemfile")
    end

    # Among the gems, so that it goes when they go.
    def stamp
      File.join(gems, "installed-for-#{@name}")
    end

    def state
      "#{RUBY_DESCRIPTION}\n#{File.read(source)}"
    end

    def installed?
      File.exist?(stamp) && File.read(stamp) == state && File.exist?("#{gemfile}.lock")
    end

    def link_gems
      FileUtils.rm_rf("#{gems}.new")
      own = Clone.path("vendor", "bundle") # it has none when somebody's own Bundler installed them
      File.directory?(own) ? FileUtils.cp_lr(own, "#{gems}.new") : FileUtils.mkdir_p("#{gems}.new")
      File.rename("#{gems}.new", gems)
    end

    def install_alone
      link_gems unless File.directory?(gems)
      FileUtils.rm_f("#{gemfile}.lock")
      FileUtils.cp(source, gemfile)
      command = Command.new(*Clone.bundle("install", "--jobs", Etc.nprocessors.to_s),
                            log: "framework-#{@name}", env: environment, limit: 300)
      raise Failure, "#{command.excerpt}#{@name} could not be installed" unless command.run

      File.write(stamp, state)
    end
  end
end
