# frozen_string_literal: true

require "rbconfig"
require "rdkafka"

module KafkaSupport
  # How the specs run Ruby beside them: with the gem of this clone and rdkafka, without Bundler, which takes longer to
  # load than all of it; and a clock that all processes of a machine share.
  module ChildProcess
    ROOT = File.expand_path("../..", __dir__)
    # What somebody has set in the shell must not change what is tested.
    ENVIRONMENT = ENV.keys.grep(/\A(WORK_SHAPER_|RUBYOPT\z|RUBYLIB\z|LOG_LEVEL\z|RAILS_ENV\z)/)
                     .to_h { |name| [name, nil] }.merge("RUBYOPT" => nil, "BUNDLER_SETUP" => nil).freeze

    module_function

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    end

    # Starts a script in a process group of its own, which no Ctrl-C in the terminal reaches. Returns its process id.
    def spawn_ruby(script, *arguments, **options)
      Process.spawn(ENVIRONMENT, RbConfig.ruby, *load_path, script, *arguments, pgroup: true, **options)
    end

    def load_path
      @load_path ||= [File.join(ROOT, "lib"), *gem_paths].flat_map { |directory| ["-I", directory] }
    end

    # Of the gem that defines Rdkafka (it may be a fork), and of what it needs.
    def gem_paths
      file = $LOADED_FEATURES.grep(%r{/rdkafka/bindings\.rb\z}).first
      found = Gem.loaded_specs.values.select { |spec| spec.full_require_paths.any? { |path| file.start_with?(path) } }
      found.each do |spec|
        names = spec.runtime_dependencies.map(&:name)
        found.concat(Gem.loaded_specs.values_at(*names).compact - found)
      end
      found.flat_map(&:full_require_paths)
    end
  end
end
