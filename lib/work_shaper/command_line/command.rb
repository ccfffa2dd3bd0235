# frozen_string_literal: true

require "optparse"
require_relative "text"

module WorkShaper
  module CommandLine
    # The command's help was asked for, and printed.
    #
    # @private
    class Help < StandardError
      def status
        OK
      end
    end

    # One of the commands: what it takes, and what it does.
    #
    # @private
    class Command
      # @param arguments [Array<String>] what follows the command's name
      # @raise [OptionParser::ParseError] they are no good
      # @raise [Help]
      def initialize(arguments, input:, output:, errors:)
        @input = input
        @output = output
        @errors = errors
        take(*words(parser.permute(arguments)))
      end

      # Does it.
      #
      # @return [Integer] the exit status
      def call
        raise NotImplementedError
      end

      # Without its settings, which may hold passwords.
      def inspect
        "#<#{self.class}>"
      end

      private

      # What follows "Usage: work_shaper", what it is about, and examples.
      def usage
        self.class::USAGE
      end

      # Adds the command's options.
      def options(parser); end

      # Takes the words that are no options.
      def take(*words); end

      def parser
        @parser ||= OptionParser.new("Usage: work_shaper #{usage}") do |parser|
          parser.separator("\n#{self.class::ABOUT}\n")
          options(parser)
          parser.on("-h", "--help", "Shows this") do
            @output.puts parser.help, "\nExamples:\n#{self.class::EXAMPLES.gsub(/^/, "    ")}"
            raise Help
          end
        end
      end

      # As many as the usage names.
      def words(given)
        wanted = usage.split.drop(1).grep(%r{\A[A-Z/]+\z})
        raise OptionParser::MissingArgument, wanted[given.size] if given.size < wanted.size
        raise OptionParser::NeedlessArgument, given[wanted.size] if given.size > wanted.size

        given
      end
    end
  end
end
