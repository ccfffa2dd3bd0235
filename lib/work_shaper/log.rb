# frozen_string_literal: true

require "json"
require_relative "plain_log"
require_relative "standard_output"

# Since Ruby 4.0 Logger is a gem, which a bundle need not have; without it, `require` warns from Ruby 3.4 on.
gem_only = defined?(Gem::BUNDLED_GEMS) && Gem::BUNDLED_GEMS::SINCE.key?("logger")
left_out = gem_only && defined?(Bundler) && !Gem.loaded_specs.key?("logger")
begin
  require "logger" unless left_out
rescue LoadError
  nil # PlainLog stands in for it
end

# The log of all managers.
module WorkShaper
  class << self
    # Sets where managers write from now on.
    #
    # @return [Logger, #info, #warn, #error]
    # @example
    #   WorkShaper.logger = Rails.logger
    attr_writer :logger

    # Where managers write. If none was set: JSON lines on standard output, each at once, from the level in `LOG_LEVEL`
    # on (`INFO` if unset).
    #
    # @return [Logger]
    # @raise [ArgumentError] `LOG_LEVEL` is not a level
    # @example
    #   WorkShaper.logger.info({ message: "started" })
    def logger
      @logger ||= begin
        kind = defined?(::Logger) ? ::Logger : PlainLog
        kind.new(StandardOutput.new, level: log_level, formatter: formatter)
      end
    end

    # How a line of the default logger is written.
    #
    # @return [Proc] a Logger formatter: severity, time, program name and message to a line of JSON
    # @example
    #   WorkShaper.logger = Logger.new($stderr, formatter: WorkShaper.formatter)
    def formatter
      proc do |severity, time, _program, message|
        to_json_somehow(timestamp: time.strftime("%Y-%m-%dT%H:%M:%S.%6N"), level: severity.ljust(5),
                        pid: Process.pid, msg: message)
      end
    end

    private

    # A message may hold what JSON cannot express: binary keys, NaN. It is then written as inspect shows it.
    def to_json_somehow(line)
      "#{JSON.generate(line)}\n"
    rescue StandardError
      "#{JSON.generate(line.merge(msg: line[:msg].inspect.scrub("?")))}\n"
    end

    def log_level
      level = ENV.fetch("LOG_LEVEL", "")
      level = "INFO" if level.empty?
      return Integer(level, 10) if level.match?(/\A[0-5]\z/)
      return level.downcase if %w[debug info warn error fatal unknown].include?(level.downcase)

      raise ArgumentError, "LOG_LEVEL is #{level.inspect}; " \
                           "it must be debug, info, warn, error, fatal, unknown or 0 to 5"
    end
  end
end
