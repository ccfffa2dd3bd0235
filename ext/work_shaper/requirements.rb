# frozen_string_literal: true

require "rbconfig"
require "tmpdir"

# What a machine must have before the extension can be compiled. The first thing that is missing is reported in one
# line, with the command that installs it. (For extconf.rb, that is for `gem install`, and for bin/setup.)
class Requirements
  class Missing < StandardError; end

  # What installs the headers of Ruby, and what installs a C compiler, for each package manager.
  PACKAGES = {
    "apt-get" => ["apt-get install ruby-dev", "apt-get install build-essential"], # Debian, Ubuntu
    "dnf" => ["dnf install ruby-devel", "dnf install gcc make redhat-rpm-config"], # Fedora
    "apk" => ["apk add ruby-dev", "apk add build-base"], # Alpine
    "pacman" => ["pacman -S ruby", "pacman -S base-devel"],
    "zypper" => ["zypper install ruby-devel", "zypper install gcc make"]
  }.freeze

  PROGRAM = <<~C
    #include <pthread.h>
    #include <stdio.h>
    int main(void) { return puts("") < 0; }
  C

  # Raises Missing.
  def check
    check_ruby
    check_compiler
    check_make
    check_headers
  end

  private

  def check_ruby
    return if RUBY_ENGINE == "ruby" && Gem::Version.new(RUBY_VERSION) >= Gem::Version.new("3.1")

    raise Missing, "CRuby 3.1 or newer is needed; this is #{RUBY_ENGINE} #{RUBY_VERSION}"
  end

  def check_compiler
    compiler = RbConfig::CONFIG["CC"].split.first.to_s
    raise Missing, "a C compiler is missing (#{compiler}): #{advice(:last)}" unless program?(compiler)
    return if compiles?(compiler)

    raise Missing, "the C compiler (#{compiler}) cannot compile a small program: #{advice(:last)}"
  end

  def check_make
    raise Missing, "make is missing: #{advice(:last)}" unless %w[make gmake].any? { |name| program?(name) }
  end

  def check_headers
    header = File.join(RbConfig::CONFIG["rubyhdrdir"].to_s, "ruby.h")
    raise Missing, "the headers of Ruby are missing (#{header}): #{advice(:first)}" unless File.exist?(header)
  end

  def advice(which)
    return "xcode-select --install" if RUBY_PLATFORM.include?("darwin")

    _, commands = PACKAGES.find { |manager, _| program?(manager) }
    return commands.public_send(which) if commands

    which == :first ? "install the development package of Ruby" : "install gcc or clang, and make"
  end

  def program?(name)
    return File.executable?(name) if name.include?("/")

    ENV.fetch("PATH", "").split(File::PATH_SEPARATOR).any? do |dir|
      path = File.join(dir, name)
      File.executable?(path) && !File.directory?(path)
    end
  end

  def compiles?(compiler)
    Dir.mktmpdir do |dir|
      source = File.join(dir, "program.c")
      File.write(source, PROGRAM)
      system(compiler, source, "-o", File.join(dir, "program"), out: File::NULL, err: File::NULL)
    end
  end
end
