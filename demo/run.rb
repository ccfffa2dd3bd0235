# frozen_string_literal: true

# The demo: the messages of one Kafka partition, consumed one by one with rdkafka, then in parallel with
# WorkShaper::Consumer: in order per key, committed in order. Then some of them fail, twice or for ever; some go through
# a stream, whose results come in order; a consumer's process is killed (kill -9) half-way. Finally there is the page of
# a consumer at work, on a terminal until Ctrl-C.
#
#   bin/demo                    with a broker inside this process
#   bin/demo --messages 5000    fewer or more messages; 20,000 by default
#   BOOTSTRAP_SERVERS=host:9092 TOPIC=my_topic bin/demo
#                               with a real Kafka; produces into the topic, which is created when it is missing
#
# Ctrl-C ends it and shows what it found so far. Exit status: 0; 1 when a message was out of order, missing or not
# committed; 2 when it could not run; 130 after Ctrl-C.

# Until there is a table to show, Ctrl-C just ends it.
trap("INT") { exit!(130) }

require "bundler/setup"

require_relative "failing"
require_relative "failure"
require_relative "in_parallel"
require_relative "kafka"
require_relative "killed"
require_relative "one_by_one"
require_relative "options"
require_relative "report"
require_relative "streamed"
require_relative "traffic"
require_relative "watched"
require_relative "work"

module Demo
  # One run of the demo, from start to end.
  class Run
    # The share of the messages, and the smallest number of them, that is enough to know the rate of one by one.
    SAMPLE = 0.015
    SMALLEST_SAMPLE = 100
    # How many messages go through the stream.
    STREAMED = 5_000

    def initialize(kafka, messages)
      @kafka = kafka
      @traffic = Traffic.new(messages)
      @report = Report.new(@traffic, kafka)
    end

    # Returns the exit status.
    def call
      @kafka.produce(@traffic)
      trap_signals
      @report.show_start
      compare
      fail_some
      stream_some
      kill_half_way
      return @interrupted if @interrupted

      watch
      @report.failures.each { |failure| warn "demo: #{failure}" }
      @report.failures.empty? ? 0 : 1
    end

    private

    # The first signal ends the demo with what it found, a second one at once.
    def trap_signals
      %w[INT TERM].each do |signal|
        trap(signal) do
          exit!(@interrupted) if @interrupted
          @interrupted = 128 + Signal.list.fetch(signal)
          @scene&.stop
        end
      end
    end

    def play
      return if @interrupted

      @scene = yield
      @scene.run unless @interrupted
    end

    def compare
      @report.one_by_one = play { OneByOne.new(@kafka.group("one_by_one"), Work.new(@traffic), sample) }
      @report.in_parallel = play { InParallel.new(@kafka.group("in_parallel"), Work.new(@traffic), @traffic.count) }
      @report.show_table
    end

    def fail_some
      @report.failing = play do
        Failing.new(@kafka.group("failing"), Work.new(@traffic, holes: true), @traffic.count, @kafka.dead_letters)
      end
      @report.show_failing
    end

    def stream_some
      @report.streamed = play { Streamed.new(@kafka.group("streamed"), [@traffic.count, STREAMED].min) }
      @report.show_streamed
    end

    def kill_half_way
      @report.killed = play { Killed.new(@kafka.group("killed"), @traffic, @kafka.ends) }
      @report.show_killed
    end

    def watch
      @scene = Watched.new(@kafka.group("watched"))
      @report.watched = @scene.run { |address| @report.show_page(address) }
    end

    def sample
      [(@traffic.count * SAMPLE).ceil, SMALLEST_SAMPLE].max.clamp(1, @traffic.count)
    end
  end

  def self.run(options)
    WorkShaper.logger = Logger.new($stderr, level: Logger::ERROR)
    Run.new(Kafka.new(options.bootstrap_servers, options.topic), options.messages).call
  rescue Failure, Rdkafka::BaseError, WorkShaper::Error => e
    warn "demo: #{e.message}"
    2
  end
end

$stdout.sync = true
exit!(Demo.run(Demo::Options.new(ARGV)))
