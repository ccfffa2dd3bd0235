# frozen_string_literal: true

require "fileutils"
require "rbconfig"

# This clone, and the environment in which the commands of bin/ run. Everything is inside the clone: gems in
# vendor/bundle, what is built in tmp. Nothing is read from or written to the user's Bundler settings, so that a clone
# behaves the same wherever it lies and from wherever it is called. (If you prefer your own: bundle install, then bundle
# exec rake.)
#
#   exec(Clone.environment("demo"), *Clone.bundle("exec", "ruby", "demo/run.rb"))
#
# Purposes: "demo" has the gems that bin/demo needs, "test" has all.
module Clone
  ROOT = File.expand_path("..", __dir__)
  EXTENSION = "work_shaper.#{RbConfig::CONFIG["DLEXT"]}".freeze
  LOGS = File.join(ROOT, "tmp", "log")

  # The groups of the Gemfile that a purpose does without: a demo installs in a quarter of the time.
  LEFT_OUT = { "demo" => "test:lint", "test" => "" }.freeze

  # The specs compact the heap all the time, and Ruby 3.1 then looks at stale slots of the threads' stacks: it crashes
  # when they refer to a page that was given back to the system. So no page is given back. (Ruby reads this when it
  # starts; without it the specs compact nothing.)
  FOR_SPECS = { "RUBY_GC_HEAP_FREE_SLOTS_MAX_RATIO" => "1.0" }.freeze

  # How the network is reached is up to the machine; any other setting of Bundler is ours.
  NETWORK = /\ABUNDLE_(MIRROR|SSL|HTTP|RETRY|TIMEOUT|REDIRECT)/
  private_constant :NETWORK

  class << self
    # What to add to the environment of a command (nil: to take away). Later settings win over inherited ones.
    def environment(purpose)
      inherited = ENV.keys.select { |name| name.start_with?("BUNDLE_", "BUNDLER_", "RUBYLIB") }
      inherited.grep_v(NETWORK).to_h { |name| [name, nil] }.merge(
        "RUBYOPT" => ruby_options,
        "BUNDLE_GEMFILE" => path("Gemfile"),
        "BUNDLE_PATH" => path("vendor", "bundle"),
        "BUNDLE_APP_CONFIG" => path("vendor", "bundle_config"), # not there: a .bundle/config would win over this
        "BUNDLE_WITHOUT" => LEFT_OUT.fetch(purpose), "BUNDLE_WITH" => "", "BUNDLE_ONLY" => "",
        "BUNDLE_FROZEN" => "false", "BUNDLE_DEPLOYMENT" => "false",
        "BUNDLE_SILENCE_ROOT_WARNING" => "true", "BUNDLE_IGNORE_MESSAGES" => "true", **locale
      )
    end

    # The command line of Bundler: that of the Ruby which runs this, whatever `bundle` is first in PATH.
    def bundle(*arguments)
      [RbConfig.ruby, Gem.bin_path("bundler", "bundle"), *arguments]
    end

    def path(*names)
      File.join(ROOT, *names)
    end

    # Whether the extension in lib/ is the one that rake last made from these sources, for this Ruby. (Rake would copy
    # it there each time, while another process may be loading it.)
    def compiled?
      installed = path("lib", "work_shaper", EXTENSION)
      made = Dir[path("tmp", "*", "work_shaper", RUBY_VERSION, EXTENSION)].first
      return false unless made && File.exist?(installed) && FileUtils.identical?(made, installed)

      Dir[path("ext", "**", "*")].none? { |source| File.mtime(source) > File.mtime(made) }
    end

    # One process at a time changes what is installed and built: bin/demo may run beside bin/test.
    def locked
      FileUtils.mkdir_p(path("tmp"))
      File.open(path("tmp", "setup.lock"), "w") do |lock|
        lock.flock(File::LOCK_EX)
        yield
      end
    end

    private

    # Bundler fails in a path with umlauts when the locale has ASCII alone.
    def locale
      Encoding.find("filesystem") == Encoding::US_ASCII ? { "LC_ALL" => "C.UTF-8" } : {}
    end

    # The user's options (--yjit, say), except what another project's Bundler put there.
    def ruby_options
      options = ENV.fetch("RUBYOPT", "").split.reject { |option| option.end_with?("bundler/setup") }
      options.join(" ") unless options.empty?
    end
  end
end
