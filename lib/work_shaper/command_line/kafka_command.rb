# frozen_string_literal: true

module WorkShaper
  module CommandLine
    # A command that asks Kafka.
    #
    # @private
    class KafkaCommand < Command
      BROKERS = "BOOTSTRAP_SERVERS"

      # What the file may have for an application, and is of no use here.
      NOT_OURS = %w[group.protocol group.remote.assignor group.instance.id].freeze

      private

      def options(parser)
        parser.on("--brokers HOST:PORT,...", "Where Kafka is; without it, #{BROKERS}") { |text| @brokers = text }
        parser.on("--config FILE", "More of librdkafka's settings, as for TLS and SASL: lines of name=value") do |file|
          @file = file
        end
      end

      # @param settings [Hash{String => String}] librdkafka's
      # @param listener [#rebalance] is told of partitions that come and go, if it joins the group
      # @yieldparam admin [Consumer::Admin]
      def with_admin(settings, *listener, &block)
        Consumer.const_get(:Admin).open(settings, *listener, &block)
      end

      # librdkafka's settings, for a group.
      def settings(group)
        load_consumer
        config.merge("group.id" => group).tap { |settings| check(settings) }
      end

      # What goes wrong a command says itself, once.
      def load_consumer
        require_relative "../consumer"
        require_relative "../consumer/admin"
        Rdkafka::Config.logger = Logger.new(IO::NULL)
        WorkShaper.logger = Logger.new(IO::NULL)
      end

      def check(settings)
        Consumer.const_get(:Client).check(settings)
      rescue ArgumentError => e
        raise Error, e.message
      end

      def config
        @config ||= connection.merge(from_file).except(*NOT_OURS)
      end

      def connection
        servers = @brokers || ENV.fetch(BROKERS, "")
        return { "bootstrap.servers" => servers } unless servers.strip.empty?
        return {} if from_file.key?("bootstrap.servers")

        raise OptionParser::MissingArgument, "--brokers HOST:PORT (or set #{BROKERS})"
      end

      def from_file
        @from_file ||= @file ? read(@file) : {}
      end

      def read(file)
        lines = File.readlines(file, chomp: true).map(&:strip).reject { |line| line.empty? || line.start_with?("#") }
        lines.to_h do |line|
          name, value = line.split(/\s*=\s*/, 2)
          value ? [name, value] : raise(Error, "#{file}: a line is not name=value") # which may be a password
        end
      rescue SystemCallError => e
        raise Error, "--config #{file}: #{e.message}"
      end

      def check_group(name)
        raise OptionParser::InvalidArgument, "GROUP is empty" if name.empty?

        name
      end

      # @return [Array(String, Integer)]
      def topic_partition(text)
        topic, partition = text.match(%r{\A([\w.-]+)/(\d{1,9})\z})&.captures
        return [topic, Integer(partition, 10)] if topic

        raise OptionParser::InvalidArgument, "#{text}: it must be TOPIC/PARTITION, such as orders/0"
      end
    end
  end
end
