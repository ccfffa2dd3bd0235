# frozen_string_literal: true

require "open3"
require "rbconfig"
require_relative "traffic"

module Bench
  # WorkShaper 0.1.3.1 from the registry, in a process and a gem directory of its own.
  module Predecessor
    ROOT = File.expand_path("..", __dir__)
    GEMS = File.join(ROOT, "tmp", "peers")
    SCRIPT = File.join(__dir__, "peers", "work_shaper_0_1_3.rb")
    VERSION = "0.1.3.1"
    SECONDS = 5
    MESSAGES = 1_000_000

    module_function

    # True when it is there; installs it the first time.
    def installed?
      return true if File.exist?(File.join(GEMS, "specifications", "work_shaper-#{VERSION}.gemspec"))

      run("-S", "gem", "install", "--install-dir", GEMS, "--no-document", "work_shaper:#{VERSION}")
      true
    rescue IOError => e
      warn e.message
      false
    end

    def rate
      Float(run(SCRIPT, SECONDS.to_s))
    end

    # Without Bundler's variables: our own gem must not be found in place of the one asked for.
    def run(*arguments)
      environment = { "GEM_HOME" => GEMS, "GEM_PATH" => GEMS, "RUBYLIB" => nil, "RUBYOPT" => nil }
      output, status = Open3.capture2e(environment, RbConfig.ruby, *arguments)
      status.success? ? output : raise(IOError, output)
    end

    def our_rate(keys)
      MESSAGES / Traffic.seconds_through(Traffic.manager, keys, MESSAGES)
    end
  end

  compare "predecessor", "no work, 100 keys, against WorkShaper 0.1.3.1 in a process of its own" do |table|
    if Predecessor.installed?
      keys = Traffic.string_keys(100)
      table.ratio("acks: :every", unit: "/s", at_least: 300, warm_up: false,
                                  ours: -> { Predecessor.our_rate(keys) }, reference: -> { Predecessor.rate })
    else
      table.remark("acks: :every", "work_shaper #{Predecessor::VERSION} could not be installed from the registry")
    end
  end
end
