# frozen_string_literal: true

require "etc"
require "rbconfig"
require_relative "command"

# Runs specs with the extension built under a sanitizer, beside the ordinary one, in tmp/sanitize/. Ruby itself is not
# instrumented, so the sanitizer's library is loaded before it. ThreadSanitizer sees the pthread calls of libruby all
# the same: what the GVL guards counts as guarded.
class SanitizedSpecs
  DEFAULT = "spec/manager"

  Settings = Struct.new(:flag, :more_flags, :libraries, :variable, :options)

  # The libraries are loaded first. What AddressSanitizer must not look at: the stack, since it does not see when Ruby
  # leaves frames by __builtin_longjmp (the C tests of the core have it); what Ruby holds at exit; Ruby's signal stack.
  SETTINGS = {
    "address" => Settings.new("address,undefined", "--param=asan-stack=0", %w[libasan.so libubsan.so],
                              "ASAN_OPTIONS", "detect_leaks=0:use_sigaltstack=0"),
    "thread" => Settings.new("thread", "", %w[libtsan.so],
                             "TSAN_OPTIONS", "ignore_noninstrumented_modules=1:die_after_fork=0")
  }.freeze
  FINDING = /(WARNING|ERROR): \w+Sanitizer|runtime error/

  def initialize(sanitizer)
    @sanitizer = sanitizer
    @settings = SETTINGS.fetch(sanitizer)
    @dir = Clone.path("tmp", "sanitize", sanitizer)
    @lib = File.join(@dir, "lib")
  end

  # Exits with a message when something fails.
  def run(specs)
    abort "sanitize: only with gcc's libraries, which are not here" unless libraries

    build
    lay_out
    keep_status = Clone.path("tools", "keep_status.rb")
    system(environment, RbConfig.ruby, "-r", keep_status, "-S", "rspec", *specs, chdir: @dir)
    findings.each { |report| warn report }
    abort "sanitize: failed under #{@sanitizer} sanitizer" unless succeeded? && findings.empty?
  end

  private

  # Reports go to files, those of child processes too.
  def environment
    options = "#{@settings.options}:exitcode=66:log_path=#{File.join(@dir, "report")}"
    { @settings.variable => options, "UBSAN_OPTIONS" => "halt_on_error=1:exitcode=66",
      "LD_PRELOAD" => libraries.join(" ") }
  end

  # What the program itself reported (see keep_status.rb); it reports nothing when it crashed.
  def succeeded?
    file = File.join(@dir, "status")
    File.exist?(file) && File.read(file) == "ok"
  end

  def findings
    Dir[File.join(@dir, "report.*")].map { |file| File.read(file) }.grep(FINDING)
  end

  def libraries
    @libraries_found ||= @settings.libraries.map do |name|
      path = IO.popen(["gcc", "-print-file-name=#{name}"], &:read).chomp
      return nil unless path.include?("/")

      path
    end
  rescue Errno::ENOENT
    nil
  end

  def build
    objects = File.join(@dir, "objects")
    FileUtils.rm_rf(@dir)
    FileUtils.mkdir_p([objects, File.join(@lib, "work_shaper")])
    environment = { "WORK_SHAPER_SANITIZE" => @settings.flag, "RUBYOPT" => nil }
    compile(RbConfig.ruby, Clone.path("ext", "work_shaper", "extconf.rb"), env: environment, dir: objects)
    compile("make", "-j#{Etc.nprocessors}", "ARCH_FLAG=#{@settings.more_flags}", env: {}, dir: objects)
    FileUtils.cp(File.join(objects, Clone::EXTENSION), File.join(@lib, "work_shaper"))
  end

  def compile(*arguments, env:, dir:)
    command = Command.new(*arguments, log: "sanitize-#{@sanitizer}", env: env, dir: dir)
    abort "#{command.excerpt}sanitize: the extension could not be compiled" unless command.run
  end

  # rspec puts ./lib first in the load path, whatever it is told: so it runs where that has the sanitized extension.
  def lay_out
    names = [*Dir.glob("lib/{,work_shaper/}*.rb", base: Clone::ROOT), "spec", ".rspec"]
    names.each { |name| FileUtils.ln_s(Clone.path(name), File.join(@dir, name)) }
  end
end
