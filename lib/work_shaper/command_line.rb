# frozen_string_literal: true

require_relative "version"
require_relative "errors"
require_relative "command_line/command"

module WorkShaper
  # The command `work_shaper`: docs/commands.md. A command is loaded when it is called, and rdkafka when it is needed.
  #
  # @private
  module CommandLine
    # By name: the class, and what it does.
    COMMANDS = {
      "run" => [:Run, "runs the consumers that a Ruby file makes"],
      "lag" => [:Lag, "shows how far a group is"],
      "inspect" => [:Inspect, "shows what a running process does, live"],
      "replay" => [:Replay, "sends dead letters back to where they came from"],
      "reset" => [:Reset, "has a group go on from another offset of a partition"],
      "skip" => [:Skip, "has a group leave out the message at which it stands"]
    }.freeze
    COMMANDS.each { |name, (constant, _)| autoload constant, File.join(__dir__, "command_line", name) }

    OK = 0
    FAILED = 1
    WRONG_USAGE = 2
    SIGNALLED = 128 # and the number of the signal

    class << self
      # @param arguments [Array<String>]
      # @return [Integer] the exit status
      def start(arguments, input: $stdin, output: $stdout, errors: $stderr)
        name, *rest = arguments
        return overview(name, output) if [nil, "help", "--help", "-h", "--version"].include?(name) && rest.empty?

        return start([rest.first, "--help"], output: output, errors: errors) if name == "help"

        guarded(name, errors) { command(name).new(rest, input: input, output: output, errors: errors).call }
      end

      private

      def overview(name, output)
        if name == "--version"
          output.puts "work_shaper #{VERSION}"
        else
          output.puts help
        end
        name ? OK : WRONG_USAGE
      end

      def help
        <<~TEXT
          Usage: work_shaper COMMAND [options]

          #{COMMANDS.map { |name, (_, summary)| "    #{name.ljust(10)}#{summary}" }.join("\n")}

          work_shaper help COMMAND says what a command takes, with examples.
          Exit status: #{OK} done; #{FAILED} it failed; #{WRONG_USAGE} wrong usage; #{SIGNALLED} + n: ended by signal n.
        TEXT
      end

      def command(name)
        constant, = COMMANDS.fetch(name) do
          raise OptionParser::InvalidArgument, "#{name}: there is no such command#{near(name)}"
        end
        const_get(constant)
      end

      def near(name)
        meant = DidYouMean::SpellChecker.new(dictionary: COMMANDS.keys).correct(name).first if defined?(DidYouMean)
        "; #{meant}?" if meant
      end

      # Says what went wrong, in a line.
      def guarded(name, errors)
        yield
      rescue Help => e
        e.status
      rescue OptionParser::ParseError => e
        say(errors, e.message)
        errors.puts "Try: work_shaper help#{" #{name}" if COMMANDS.key?(name)}"
        WRONG_USAGE
      rescue Interrupt
        SIGNALLED + Signal.list.fetch("INT")
      rescue Errno::EPIPE
        OK # whoever reads it has seen enough
      rescue LoadError, StandardError => e
        raise unless told?(e)

        say(errors, e.message)
        FAILED
      end

      # Whether its message says all; others are for us.
      def told?(error)
        error.is_a?(Error) || error.is_a?(LoadError) ||
          (defined?(Rdkafka::RdkafkaError) && error.is_a?(Rdkafka::RdkafkaError))
      end

      def say(errors, text)
        errors.puts "work_shaper: #{Text.shown(text, lines: true)}"
      end
    end
  end

  private_constant :CommandLine
end
