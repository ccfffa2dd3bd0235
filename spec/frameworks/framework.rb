# frozen_string_literal: true

require "etc"
require "fileutils"
require_relative "../../tools/clone"
require_relative "../../tools/command"

module Frameworks
  # A framework in a bundle of its own: its gems beside those of the clone, its Gemfile and lock below tmp.
  class Framework
    class Failure < StandardError; end

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
      Clone.locked { install_alone unless installed? } # bin/setup installs to the same place
      self
    end

    # To call `bundle exec` with.
    def environment
      Clone.environment("test").merge("BUNDLE_GEMFILE" => gemfile, "BUNDLE_WITH" => "", "RUBYOPT" => nil,
                                      "RUBYLIB" => Clone.path("lib"))
    end

    # What it makes lies here.
    def directory
      Clone.path("tmp", "frameworks", @name)
    end

    private

    def gemfile
      File.join(directory, "Gemfile")
    end

    def source
      File.join(__dir__, "gemfiles", "#{@name}.gemfile")
    end

    # Among the gems, so that it goes when they go.
    def stamp
      Clone.path("vendor", "bundle", "installed-for-#{@name}")
    end

    def state
      "#{RUBY_DESCRIPTION}\n#{File.read(source)}"
    end

    def installed?
      File.exist?(stamp) && File.read(stamp) == state && File.exist?("#{gemfile}.lock")
    end

    def install_alone
      FileUtils.rm_f("#{gemfile}.lock")
      FileUtils.cp(source, gemfile)
      command = Command.new(*Clone.bundle("install", "--jobs", Etc.nprocessors.to_s),
                            log: "framework-#{@name}", env: environment, limit: 300)
      raise Failure, "#{command.excerpt}#{@name} could not be installed" unless command.run

      File.write(stamp, state)
    end
  end
end
