# frozen_string_literal: true

require "etc"
require "rbconfig"
require_relative "command"

# A linter: one or more commands, silent when all is well.
class Lint
  C_FILES = %w[ext/**/*.{c,h} spec/core/**/*.{c,h}].freeze
  CORE = %w[ext/work_shaper/core/ spec/core/].freeze
  # Where clang's analyzer gives a function up: a tenth of its own limit, for most of its time goes beyond it.
  NODES = 20_000

  attr_reader :name, :about

  # `needs`: the program without which it is left out.
  def initialize(name, about, needs: nil, &commands)
    @name = name
    @about = about
    @needs = needs
    @commands = commands
  end

  # Runs it, prints one line or what is wrong, and returns false when something is.
  def report
    return true.tap { puts "lint: #{name}: left out, #{@needs} is not installed" } unless there?

    failed = failures(@commands.call)
    puts "lint: #{name}: #{failed.empty? ? "ok" : "failed"}"
    failed.each { |command| puts command.excerpt }
    failed.empty?
  end

  private

  def there?
    @needs.nil? || system(@needs, "--version", out: File::NULL, err: File::NULL)
  end

  def failures(commands)
    queue = Queue.new
    commands.each_with_index { |arguments, index| queue << [arguments, index] }
    queue.close
    Array.new(Etc.nprocessors) { Thread.new { drain(queue) } }.flat_map(&:value)
  end

  def drain(queue)
    failed = []
    while (arguments, index = queue.pop)
      command = Command.new(*arguments, log: "lint-#{name}-#{index}", limit: 600)
      failed << command unless command.run
    end
    failed
  end

  class << self
    def all
      [
        new("rubocop", "Style and pitfalls of the Ruby code") { [%w[rubocop --display-style-guide --format clang]] },
        new("rbs", "The signatures in sig/") { [%w[rbs -r logger -I sig validate]] },
        new("yard", "Every public class and method has documentation") { [YARD_COMMAND] },
        new("clang-format", "Layout of the C code", needs: "clang-format") { [clang_format] },
        new("clang-tidy", "Pitfalls of the C code", needs: "clang-tidy") do
          clang_tidy("-Xclang", "-analyzer-config", "-Xclang", "max-nodes=#{NODES}")
        end
      ]
    end

    # Too slow for every day.
    def thorough
      new("analyzer", "Pitfalls of the C code, on all paths that clang follows", needs: "clang-tidy") { clang_tidy }
    end

    def c_files
      C_FILES.flat_map { |pattern| Dir.glob(pattern, base: Clone::ROOT) }.sort
    end

    private

    def clang_format
      ["clang-format", "--dry-run", "-Werror", *c_files]
    end

    # One command for each file, and each with the flags of its side: the core must do without ruby.h.
    def clang_tidy(*more)
      c_files.select { |file| file.end_with?(".c") }.map do |file|
        flags = file.start_with?(*CORE) ? %w[-std=c11] : ["-std=gnu11", *ruby_include_paths]
        ["clang-tidy", "--quiet", file, "--", *flags, "-Iext/work_shaper", *more]
      end
    end

    # As system headers, so that they get no warnings.
    def ruby_include_paths
      RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir").flat_map { |dir| ["-isystem", dir] }
    end
  end

  YARD_COMMAND = [RbConfig.ruby, File.join(__dir__, "documented.rb")].freeze
  private_constant :YARD_COMMAND
end
