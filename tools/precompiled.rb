# frozen_string_literal: true

require "open3"

# What a precompiled gem is: one extension for each Ruby in lib/work_shaper/X.Y/, and no ext/. NativeGem makes one for
# the Rubies at hand, rake-compiler (see rakelib/compile.rake) makes the public ones, and PackageCheck tries both.
module Precompiled
  class Failed < StandardError; end

  # Each Linux with its C library: beside a -linux-musl gem, some versions of RubyGems and Bundler would install one
  # that is called -linux where they should not.
  PLATFORMS = %w[
    x86_64-linux-gnu aarch64-linux-gnu x86_64-linux-musl aarch64-linux-musl x86_64-darwin arm64-darwin
  ].freeze

  # The first that tells -linux-gnu from -linux-musl; older ones get the source gem.
  RUBYGEMS = Gem::Version.new("3.3.22")

  RUBIES = %w[3.1 3.2 3.3 3.4 4.0].freeze # that a public one has to serve

  NEWEST_GLIBC = Gem::Version.new("2.17") # of 2012: CentOS 7

  class << self
    # Turns the source gem's specification into that of a precompiled one. Its extensions are among its files already.
    def change(spec)
      spec.extensions.clear
      spec.files.reject! { |name| name.start_with?("ext/") }
      oldest, newest = versions(spec).minmax
      raise Failed, "precompiled: no extension for any Ruby is in the gem" unless oldest

      spec.required_ruby_version = [">= #{oldest}", "< #{Gem::Version.new("#{newest}.0").bump}.dev"]
      gaps = RUBIES - versions(spec).map(&:to_s)
      warn "precompiled: for trial only, there is no extension for Ruby #{gaps.join(", ")}" if gaps.any?
      spec.required_rubygems_version = ">= #{RUBYGEMS}" if linux?(spec)
    end

    # Made from its parts, since RubyGems before 3.3.21 would leave -gnu out of the name.
    def platform(name)
      Gem::Platform.new(name.split("-", 3))
    end

    def linux?(spec)
      spec.platform != Gem::Platform::RUBY && spec.platform.os == "linux"
    end

    # Raises Failed when an extension for Linux needs a newer GLIBC, or any at all on musl.
    def check_glibc(file, platform)
      return unless platform.include?("linux")

      text, status = Open3.capture2e("readelf", "--version-info", file)
      raise Failed, "precompiled: #{text}" unless status.success?

      needed = text.scan(/\bGLIBC_([\w.]+)/).flatten.uniq
      refused = platform.end_with?("musl") ? needed : needed.reject { |version| old_enough?(version) }
      raise Failed, "precompiled: #{file} needs GLIBC #{refused.join(", ")}" if refused.any?
    rescue Errno::ENOENT
      raise Failed, "precompiled: readelf (of binutils) is missing"
    end

    private

    def versions(spec)
      spec.files.filter_map { |name| name[%r{\Alib/work_shaper/(\d+\.\d+)/}, 1] }.map { |text| Gem::Version.new(text) }
    end

    # Some versions are names (GLIBC_ABI_DT_RELR); those are newer.
    def old_enough?(version)
      Gem::Version.correct?(version) && Gem::Version.new(version) <= NEWEST_GLIBC
    end
  end
end
