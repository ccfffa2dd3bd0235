# frozen_string_literal: true

module WorkShaper
  module CommandLine
    # Runs the consumers that a file makes.
    #
    # @private
    class Run < Command
      USAGE = "run FILE [options]"
      ABOUT = <<~TEXT
        Loads FILE, a Ruby file that makes consumers with WorkShaper::Consumer.new, and runs all that it makes, side by
        side. In a Rails application (config/environment.rb is there) that is loaded before. INT and TERM stop all of
        them in order, a second one hurries; TSTP takes nothing more in; TTIN logs backtraces. When one fails, the
        others are stopped. Exit status 0: all have stopped, with everything committed.
      TEXT
      EXAMPLES = <<~TEXT
        bundle exec work_shaper run consumers.rb --env production
        work_shaper run consumers.rb --check    # says what it would run, joins no group

        # consumers.rb
        config = { "bootstrap.servers": ENV.fetch("BOOTSTRAP_SERVERS"), "group.id": "orders" }
        WorkShaper::Consumer.new(config: config, topics: "orders") { |message| Order.handle(message) }
      TEXT
      ENVIRONMENTS = %w[RACK_ENV RAILS_ENV].freeze
      RAILS = File.join("config", "environment.rb")

      def call
        set_environment
        require_relative "../consumer"
        require_relative "../consumer/crew"
        consumers = made
        raise Error, "#{@file} makes no consumer; it is to call WorkShaper::Consumer.new" if consumers.empty?
        return check(consumers) if @check

        run(consumers) ? OK : FAILED
      end

      private

      def options(parser)
        parser.on("--env NAME", "Sets #{ENVIRONMENTS.join(" and ")}") { |name| @env = name }
        parser.on("--brokers HOST:PORT,...", "Sets BOOTSTRAP_SERVERS, if FILE reads it") { |text| @brokers = text }
        parser.on("--check", "Loads FILE and says what it would run; 0 when that is in order, else 1") { @check = true }
        parser.on("--no-rails", "Does not load #{RAILS}") { @without_rails = true }
      end

      def take(file)
        @file = file
      end

      def set_environment
        ENVIRONMENTS.each { |name| ENV[name] = @env } if @env
        ENV["BOOTSTRAP_SERVERS"] = @brokers if @brokers
      end

      def made
        guarded(RAILS) { require File.expand_path(RAILS) } if !@without_rails && File.file?(RAILS)
        raise Error, "#{@file} is not there, or no file" unless File.file?(@file)

        Census.gather { guarded(@file) { load(File.expand_path(@file)) } }
      end

      # Says where an error of a file of the user's is.
      def guarded(file)
        yield
      rescue SystemExit => e
        raise unless e.success?

        raise Error, "#{file} has ended the process (#{line(e, file)}); it is only to make consumers"
      rescue SyntaxError => e
        raise Error, e.message # which has the file and the line
      rescue StandardError, ScriptError, SystemStackError => e
        raise Error, "#{line(e, file)}: #{e.message} (#{e.class})"
      end

      # The innermost line of that file, or the innermost of all.
      def line(error, file)
        lines = error.backtrace_locations.to_a
        inner = lines.find { |location| location.absolute_path == File.expand_path(file) } || lines.first
        inner ? "#{inner.path.delete_prefix("#{Dir.pwd}/")}:#{inner.lineno}" : file
      end

      def check(consumers)
        consumers.each do |consumer|
          about = consumer.send(:overview)
          @output.puts Text.shown("#{about[:topics].join(", ")} as #{about[:group]} at #{about[:servers]}: " \
                                  "#{about[:protocol]}, concurrency #{about[:concurrency]}")
        end
        @output.puts "#{Text.count(consumers.size, "consumer")}, in order; nothing was connected"
        OK
      end

      # Whether all have stopped in order.
      def run(consumers)
        done = true
        Consumer.const_get(:Crew).new(consumers) do |consumer, outcome|
          done &&= outcome == true
          tell(consumer, outcome) unless outcome == true
        end.run
        done
      end

      def tell(consumer, outcome)
        text = outcome ? of_error(outcome) : "not all that ran was finished and committed"
        @errors.puts "work_shaper: #{Text.shown(consumer.group)}: #{Text.shown(text, lines: true)}"
      end

      # With its backtrace, unless its message says all.
      def of_error(error)
        known = [Error, Rdkafka::RdkafkaError].any? { |kind| error.is_a?(kind) }
        return error.full_message(highlight: false) unless known

        cause = error.cause && ": #{error.cause.message} (#{error.cause.class})"
        "#{error.message} (#{error.class})#{cause}"
      end
    end
  end
end
