# frozen_string_literal: true

require "logger"
require_relative "../../../support/kafka/brokers"
require_relative "helpers"

# Specs on Kafka. Which one: that of KAFKA_BOOTSTRAP_SERVERS, else one broker from ../shared/kafka where that is there
# and Java is, else librdkafka's mock cluster. It is looked for and started when the first example needs it.
#
# Examples tagged `kafka: true` run on all three, `kafka: :real` not on the mock cluster, and `kafka: :cluster`, for
# which brokers are killed, only on ../shared/kafka.
module KafkaSpecs
  NEEDS = { true => %i[given shared mock], real: %i[given shared], cluster: %i[shared] }.freeze

  class << self
    def runs?(need)
      NEEDS.fetch(need).include?(kind)
    end

    # The broker of this suite.
    def broker
      @broker ||= start
    end

    def close
      @broker&.close
      @broker = nil
    end

    # What was found, in one line; with how many examples it can't run.
    def about
      "Kafka: #{found}#{": #{left_out.size} examples left out" if left_out.any?}"
    end

    private

    def kind
      @kind ||= if given then :given
                elsif KafkaSupport::Cluster.there? && KafkaSupport::Cluster.java? then :shared
                else
                  :mock
                end
    end

    def given
      ENV.fetch("KAFKA_BOOTSTRAP_SERVERS", "").strip.then { |servers| servers unless servers.empty? }
    end

    def found
      case kind
      when :given then given
      when :shared then "#{KafkaSupport::Cluster.version} from ../shared/kafka"
      else
        no_java = "no Java #{KafkaSupport::Cluster::OLDEST_JAVA} for ../shared/kafka"
        missing = KafkaSupport::Cluster.there? ? no_java : "none found"
        "#{missing}, on librdkafka's mock cluster"
      end
    end

    def left_out
      RSpec.world.all_examples.map { |example| example.metadata[:kafka] }.select { |need| need && !runs?(need) }
    end

    def start
      KafkaSupport::Cluster.remove_left_over
      case kind
      when :given then KafkaSupport::RealBroker.new(given)
      when :shared then KafkaSupport::Cluster.new.then { |cluster| KafkaSupport::RealBroker.new(cluster.servers, cluster: cluster) }
      else KafkaSupport::MockBroker.new
      end
    end
  end
end

Rdkafka::Config.logger = Logger.new($stderr, level: Logger::FATAL)

RSpec.configure do |config|
  config.include KafkaSpecs::Helpers, :kafka
  # A filter of its own would be announced in every run.
  config.define_derived_metadata(:kafka) { |metadata| metadata[:if] = KafkaSpecs.runs?(metadata[:kafka]) }

  config.before(:suite) do
    examples = RSpec.world.filtered_examples.values.flatten
    config.reporter.message(KafkaSpecs.about) if examples.any? { |example| example.metadata[:kafka] }
  end

  config.after(:each, :kafka) { clean_up_kafka }
  config.after(:suite) { KafkaSpecs.close }
end
