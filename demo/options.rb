# frozen_string_literal: true

require "optparse"

module Demo
  # What the command line and the environment ask for. Ends the process on --help, and with status 2 on invalid input.
  class Options
    DEFAULT_MESSAGES = 20_000
    MOST_MESSAGES = 1_000_000
    # More would exceed the mock cluster's 5 MiB per partition.
    MOST_MOCK_MESSAGES = 40_000

    attr_reader :messages, :bootstrap_servers, :topic

    def initialize(arguments)
      @messages = DEFAULT_MESSAGES
      @bootstrap_servers = setting("BOOTSTRAP_SERVERS")
      @topic = setting("TOPIC") || "work_shaper_demo"
      rest = parser.permute(arguments)
      raise OptionParser::NeedlessArgument, rest.first if rest.any?

      check_messages(bootstrap_servers ? MOST_MESSAGES : MOST_MOCK_MESSAGES)
    rescue OptionParser::ParseError => e
      warn "demo: #{e.message}"
      exit 2
    end

    private

    def parser
      OptionParser.new do |parser|
        parser.on("--messages COUNT", Integer) { |count| @messages = count }
        parser.on("-h", "--help") do
          puts help
          exit
        end
      end
    end

    # The head of demo/run.rb.
    def help
      lines = File.readlines(File.join(__dir__, "run.rb"), encoding: "UTF-8").drop(2)
      lines.take_while { |line| line.start_with?("#") }.map { |line| line.delete_prefix("#").delete_prefix(" ") }
    end

    def check_messages(most)
      return if (1..most).cover?(messages)

      raise OptionParser::InvalidArgument, "--messages #{messages}, not 1 to #{most}"
    end

    def setting(name)
      value = ENV.fetch(name, "")
      value unless value.empty?
    end
  end
end
