# frozen_string_literal: true

require "fileutils"
require "open3"
require_relative "command"

# A Debian release with its Ruby below tmp/rubies, made by debootstrap, in which commands run on a copy of this clone.
# Only root on Linux can do that. What the machine trusts (certificates) is trusted there, too.
class Rubies
  class Failed < StandardError; end

  RELEASES = %w[trixie experimental].freeze # 13, and the newest Ruby that Debian holds
  PACKAGES = %w[ruby-dev bundler build-essential git ca-certificates].freeze
  KEPT = %w[vendor tmp lib/work_shaper/work_shaper.so Gemfile.lock].freeze # of the copy, so that a second run is quick
  CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
  # Mounts that end with the command; the copy's directory and the command follow.
  INSIDE = <<~SH.freeze
    set -e
    root=$1; shift
    for directory in proc sys dev; do mount --rbind "/$directory" "$root/$directory"; done
    exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      SSL_CERT_FILE=#{CERTIFICATES} CI="$CI" SPEC_OPTS="$SPEC_OPTS" /bin/sh -c 'cd /root/work_shaper && exec "$@"' sh "$@"
  SH

  # The newest Ruby of experimental becomes the one that `ruby` runs.
  NEWEST_RUBY = <<~SH
    set -e
    export DEBIAN_FRONTEND=noninteractive
    sed 's/ sid / experimental /' /etc/apt/sources.list > /etc/apt/sources.list.d/experimental.list
    apt-get -o Acquire::Check-Valid-Until=false update
    newest=$(apt-cache search --names-only '^ruby[0-9.]+-dev$' | sed 's/-dev .*//' | sort -V | tail -n 1)
    apt-get install -y -t experimental "$newest" "$newest-dev" bundler
    ln -sf "$newest" /usr/bin/ruby
    # Ruby's own Bundler is older than Debian's RubyGems, and the two do not go together.
    for library in /usr/lib/ruby/[0-9]*; do
      rm -rf "$library/bundler" "$library/bundler.rb"
      ln -s /usr/share/rubygems-integration/all/gems/bundler-*/lib/* "$library"
    done
    rm -f /usr/lib/ruby/gems/*/specifications/default/bundler-*.gemspec
  SH

  # What is missing on this machine, or nil.
  def self.missing
    return "Linux" unless RUBY_PLATFORM.include?("linux")
    return "root" unless Process.uid.zero?

    %w[debootstrap unshare rsync].find { |name| !system("command -v #{name} >/dev/null") }
  end

  attr_reader :release

  def initialize(release)
    @release = release
    @root = Clone.path("tmp", "rubies", release)
  end

  # Makes the root where it is missing, and copies the clone.
  def prepare
    make unless File.exist?(File.join(@root, "made"))
    FileUtils.mkdir_p(File.join(@root, "root", "work_shaper"))
    kept = KEPT.flat_map { |name| ["--exclude", "/#{name}"] }
    run("rsync", "-a", "--delete", *kept, "#{Clone::ROOT}/", File.join(@root, "root", "work_shaper"))
    FileUtils.cp(CERTIFICATES, File.join(@root, CERTIFICATES)) if File.exist?(CERTIFICATES)
  end

  # Returns whether the command succeeded in the copy. Its output is shown.
  def execute(*command)
    system("unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "sh", @root, *command)
  end

  def description
    Open3.capture2("chroot", @root, "ruby", "--version").first.chomp
  end

  # A file of the copy.
  def path(*names)
    File.join(@root, "root", "work_shaper", *names)
  end

  private

  def make
    warn "rubies: making a root of Debian #{release} in #{@root} (once; some minutes) ..."
    FileUtils.rm_rf(@root)
    FileUtils.mkdir_p(@root)
    suite = release == "experimental" ? "sid" : release # which experimental only extends
    run("debootstrap", "--variant=minbase", "--include=#{PACKAGES.join(",")}", suite, @root)
    %w[hosts resolv.conf].each { |name| FileUtils.cp("/etc/#{name}", File.join(@root, "etc", name)) }
    run("chroot", @root, "sh", "-c", NEWEST_RUBY) if release == "experimental"
    FileUtils.touch(File.join(@root, "made"))
  end

  def run(*arguments)
    command = Command.new(*arguments, log: "rubies-#{release}")
    raise Failed, "#{command.excerpt}rubies: #{arguments.first} failed" unless command.run
  end
end
