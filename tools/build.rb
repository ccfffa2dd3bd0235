# frozen_string_literal: true

require "rbconfig"
require_relative "clone"

# What the compiled extension depends on, as texts that are kept and compared.
module Build
  EXTENSION = Clone.path("lib", "work_shaper", "work_shaper.#{RbConfig::CONFIG["DLEXT"]}")
  # What changes how it is compiled.
  VARIABLES = %w[WORK_SHAPER_WERROR CC CFLAGS CPPFLAGS LDFLAGS].freeze

  class << self
    # Changes with everything that calls for compiling.
    def state
      text(dated(files("{c,h,rb}")))
    end

    # Changes with what make does not see: the headers of the core, source files that come or go, this Ruby and the
    # flags, which a Makefile keeps. Then all is compiled anew.
    def frame
      text(files("c") + dated(files("{h,rb}")))
    end

    private

    def text(lines)
      [RUBY_DESCRIPTION, *VARIABLES.map { |name| "#{name}=#{ENV.fetch(name, nil)}" }, *lines].join("\n")
    end

    def files(extension)
      Dir.glob("ext/**/*.#{extension}", base: Clone::ROOT)
    end

    def dated(names)
      names.map do |name|
        stat = File.stat(Clone.path(name))
        "#{name} #{stat.size} #{stat.mtime.to_r}"
      end
    end
  end
end
