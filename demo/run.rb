# frozen_string_literal: true

# The demo: the messages of one Kafka partition worked on in parallel, in order per key, and what is finished
# committed in order.
#
#   bin/demo                    with a broker inside this process
#   bin/demo --messages 5000    fewer or more messages
#   BOOTSTRAP_SERVERS=host:9092 TOPIC=my_topic bin/demo
#                               with a real Kafka; produces into the topic, which is created when it is missing
#
# Ctrl-C ends it with the table so far. Exit status: 0; 1 when a message was out of order, missing or not
# committed; 2 when it could not run; 130 after Ctrl-C.

# Until there is a table to show, Ctrl-C just ends it.
trap("INT") { exit!(130) }

require "optparse"

require_relative "failure"
require_relative "kafka"
require_relative "traffic"
require_relative "feed"
require_relative "consumers"
require_relative "memory"
require_relative "report"

module Demo
  # The course of the demo.
  class Run
    # The part of the messages, and the least number of them, that is enough to know the rate of one by one.
    SAMPLE = 0.04
    SMALLEST_SAMPLE = 100

    def initialize(kafka, messages)
      @kafka = kafka
      @traffic = Traffic.new(messages)
      @report = Report.new(@traffic)
      @interrupted = nil
    end

    # Returns the exit status.
    def call
      trap_signals
      @partitions = Array.new(@kafka.prepare_topic) { |partition| partition }
      ranges = produce
      one_by_one(ranges) unless @interrupted
      in_parallel(ranges) unless @interrupted
      conclude
    end

    private

    # The first signal ends the demo with its table, a second one at once.
    def trap_signals
      %w[INT TERM].each do |signal|
        trap(signal) do
          exit!(@interrupted) if @interrupted
          @interrupted = 128 + Signal.list.fetch(signal)
        end
      end
    end

    # Returns the offsets between which the messages lie, for each partition that got any.
    def produce
      before = @kafka.high_watermarks(@partitions)
      @traffic.produce(@kafka.producer, @kafka.topic) { break if @interrupted }
      return if @interrupted

      after = @kafka.high_watermarks(@partitions)
      announce
      before.to_h { |partition, first| [partition, first...after.fetch(partition)] }.reject { |_, range| range.none? }
    end

    def announce
      puts "#{Report.count(@traffic.count)} messages of #{Traffic::KEYS.size} keys produced: #{@kafka}, topic " \
           "#{@kafka.topic}, #{@partitions.size} #{@partitions.one? ? "partition" : "partitions"}."
      puts "Work on a message: #{(Work::IO_SEC * 1000).round} ms of simulated I/O."
    end

    def feed(ranges)
      Feed.new(@kafka.consumer(ranges), ranges) { @interrupted }
    end

    def one_by_one(ranges)
      sample = [(@traffic.count * SAMPLE).ceil, SMALLEST_SAMPLE].max.clamp(1, @traffic.count)
      @report.one_by_one = OneByOne.new(@traffic, feed(ranges)).run(sample)
    end

    def in_parallel(ranges)
      @report.in_parallel = InParallel.new(@traffic, feed(ranges), @kafka.topic).run
      @report.committed = @kafka.committed(ranges.keys)
      @report.high_watermarks = @kafka.high_watermarks(ranges.keys)
    end

    def conclude
      puts @report.table
      return @interrupted if @interrupted

      puts "The busiest key has #{(@traffic.busiest_share * 100).round(1)}% of the messages, and a key is worked on " \
           "by one worker at a time:"
      puts "about #{(1 / @traffic.busiest_share).floor} x is the most to expect, however many workers there are."
      @report.failures.each { |failure| warn "demo: #{failure}" }
      @report.failures.empty? ? 0 : 1
    end
  end

  # What the command line and the environment ask for.
  class Command
    DEFAULT_MESSAGES = 20_000
    MOST_MESSAGES = 1_000_000

    def self.call(arguments)
      new(arguments).call
    rescue OptionParser::ParseError, Failure, Rdkafka::BaseError, WorkShaper::Error => e
      warn "demo: #{e.message}"
      2
    end

    def initialize(arguments)
      @messages = DEFAULT_MESSAGES
      rest = options.permute(arguments)
      raise OptionParser::NeedlessArgument, rest.first if rest.any?
    end

    def call
      WorkShaper.logger = Logger.new($stderr, level: Logger::ERROR)
      kafka = Kafka.new(setting("BOOTSTRAP_SERVERS"), setting("TOPIC") || "work_shaper_demo")
      check_messages(kafka.mock? ? Kafka::MOCK_MESSAGES : MOST_MESSAGES)
      Run.new(kafka, @messages).call
    ensure
      kafka&.close
    end

    private

    def options
      OptionParser.new do |options|
        options.banner = "Usage: [BOOTSTRAP_SERVERS=host:port] [TOPIC=name] bin/demo [--messages COUNT]"
        options.on("--messages COUNT", Integer, "how many, #{Report.count(DEFAULT_MESSAGES)} unless told") do |count|
          @messages = count
        end
      end
    end

    def check_messages(most)
      return if (1..most).cover?(@messages)

      raise OptionParser::InvalidArgument, "--messages #{@messages}, not 1 to #{most}"
    end

    def setting(name)
      value = ENV.fetch(name, "")
      value unless value.empty?
    end
  end
end

if $PROGRAM_NAME == __FILE__
  $stdout.sync = true
  exit Demo::Command.call(ARGV)
end
