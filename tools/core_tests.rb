# frozen_string_literal: true

require_relative "command"

# The C tests of the core: every spec/core/test_*.c is a program of its own, linked with the whole core and with the
# other files of spec/core/, that exits with 0 when all is well. Built and run under AddressSanitizer and
# UndefinedBehaviorSanitizer by one compiler.
class CoreTests
  FLAGS = %w[-std=c11 -g -O2 -Wall -Wextra].freeze
  SANITIZERS = %w[-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer].freeze
  # One of them frees so often that to keep what was freed, and who did it, takes a third of its time: less is kept.
  ASAN_OPTIONS = "detect_stack_use_after_return=1:quarantine_size_mb=1:malloc_context_size=4"
  LIMIT_SEC = 600

  # The compilers of this machine among gcc and clang.
  def self.compilers
    %w[gcc clang].select { |name| system(name, "--version", out: File::NULL, err: File::NULL) }
  end

  def initialize(compiler)
    @compiler = compiler
    @dir = Clone.path("tmp", "core", compiler)
    FileUtils.mkdir_p(@dir)
  end

  # Whether this compiler has what its sanitizers need at run time; it often comes in a package of its own.
  def sanitizers?
    return @sanitizers unless @sanitizers.nil?

    source = File.join(@dir, "empty.c")
    program = File.join(@dir, "empty")
    File.write(source, "int main(void) { return 0; }\n")
    @sanitizers = command("sanitizers", @compiler, *SANITIZERS, source, "-o", program).run &&
                  command("sanitizers", program).run
  end

  # Returns what failed: one command for each failure.
  def run
    objects = compile_core
    return [objects] if objects.is_a?(Command)

    sources.map { |source| Thread.new { build_and_run(source, objects) } }.filter_map(&:value)
  end

  def sources
    Dir[Clone.path("spec", "core", "test_*.c")]
  end

  private

  def flags
    [*FLAGS, *(SANITIZERS if sanitizers?), *("-Werror" if ENV["WORK_SHAPER_WERROR"]),
     "-I", Clone.path("ext", "work_shaper")]
  end

  # Returns the object files, or the command that failed. The core allocates as allocation.h says.
  def compile_core
    files = Dir[Clone.path("ext", "work_shaper", "core", "*.c")] + (Dir[Clone.path("spec", "core", "*.c")] - sources)
    FileUtils.rm_f(Dir[File.join(@dir, "*.o")])
    compiling = command("core", @compiler, *flags, "-include", Clone.path("spec", "core", "allocation.h"), "-c", *files)
    compiling.run ? files.map { |file| File.join(@dir, "#{File.basename(file, ".c")}.o") } : compiling
  end

  # Returns the command that failed, if one did.
  def build_and_run(source, objects)
    name = File.basename(source, ".c")
    program = File.join(@dir, name)
    steps = [command(name, @compiler, *flags, source, *objects, "-o", program), command(name, program)]
    steps.find { |step| !step.run }
  end

  def command(name, *arguments)
    Command.new(*arguments, log: "core-#{@compiler}-#{name}", dir: @dir, limit: LIMIT_SEC,
                            env: { "ASAN_OPTIONS" => ASAN_OPTIONS })
  end
end
