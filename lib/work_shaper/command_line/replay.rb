# frozen_string_literal: true

require_relative "kafka_command"
require_relative "progress"

module WorkShaper
  module CommandLine
    # Sends dead letters back to where they came from.
    #
    # @private
    class Replay < KafkaCommand
      USAGE = "replay TOPIC [options]"
      ABOUT = <<~TEXT
        Sends the dead letters in TOPIC back to the topics they came from, those of a key in order, each one confirmed by
        a broker before the next of its key. Key, value and headers are those of the message, without __dlq.*; the
        partition is that of the key. Letters that come meanwhile are for the next time.

        It remembers what it has sent in a group of its own, work_shaper-replay-TOPIC, and so may be stopped (Ctrl-C,
        TERM) and called again. After a kill -9 what was sent since its last commit, 500 letters at most, is sent again.
      TEXT
      EXAMPLES = <<~TEXT
        work_shaper replay orders-dead --dry-run
        work_shaper replay orders-dead --class Stripe::RateLimitError
        work_shaper replay orders-dead --to orders-retry
        work_shaper lag work_shaper-replay-orders-dead    # what is left
        work_shaper skip work_shaper-replay-orders-dead orders-dead/0 17    # never send that one
      TEXT

      PARTITIONERS = %w[consistent_random murmur2_random fnv1a_random].freeze
      GROUP = "work_shaper-replay-"
      SETTINGS = { "session.timeout.ms" => "10000", "partition.assignment.strategy" => "range" }.freeze
      SIGNALS = %w[INT TERM].freeze
      HEAD = %w[to class letters].freeze

      def call
        settings = { **SETTINGS, **settings(GROUP + @topic) }
        %w[letter partitioner ledger share tally outbox course].each { |name| require_relative "replay/#{name}" }
        with_signals { replay(settings) }
        return SIGNALLED + Signal.list.fetch(@signal) if @signal

        @tally.unsendable.empty? ? OK : FAILED
      end

      private

      def options(parser)
        super
        parser.on("--to TOPIC", "Sends all of them to TOPIC") { |topic| @to = topic }
        parser.on("--class CLASS", "Only those that were given up for an error of that class") { |name| @error = name }
        parser.on("--partitioner NAME", PARTITIONERS, "What spreads keys over partitions: #{PARTITIONERS.first},",
                  "#{PARTITIONERS[1]} (that of Java clients) or #{PARTITIONERS.last}") { |name| @partitioner = name }
        parser.on("--dry-run", "Says what it would send, and sends nothing") { @dry_run = true }
      end

      def take(topic)
        @topic = topic
      end

      def replay(settings)
        share = Share.new
        partitioner = Partitioner.new(@partitioner)
        outbox = Outbox.new(settings, partitioner.name) unless @dry_run
        closing = nil
        with_admin(settings, share) do |admin|
          course = Course.new(admin, share, Course::Plan.new(@topic, @to, @error), partitioner, outbox)
          @tally = course.tally
          run(course)
        ensure
          closing = Thread.new { outbox&.close } # librdkafka takes a second for each client
        end
      ensure
        closing&.join
      end

      # Says what was sent even when something goes wrong.
      def run(course)
        course.run do |passed, size|
          show(passed, size)
          !@signal.nil?
        end
      ensure
        @progress&.stop
        @output.puts @tally.lines(@dry_run ? "to be sent" : "sent")
        @output.puts "stopped by #{@signal}; call it again for the rest" if @signal
      end

      def show(passed, size)
        return if size.zero?

        @progress ||= Progress.start("replay", size, @errors)
        @progress.reach(passed)
      end

      # The first one stops in order, when the letters that are under way are confirmed; a second one ends at once.
      def with_signals
        before = SIGNALS.to_h { |name| [name, Signal.trap(name) { on_signal(name) }] }
        yield
      ensure
        before.each { |name, handler| Signal.trap(name, handler || "DEFAULT") }
      end

      def on_signal(name)
        @signal = name
        SIGNALS.each { |other| Signal.trap(other, "DEFAULT") }
      end
    end
  end
end
