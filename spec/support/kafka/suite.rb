# frozen_string_literal: true

require "logger"
require_relative "../../../support/kafka/brokers"
require_relative "helpers"

# Specs on Kafka. Which one: that of KAFKA_BOOTSTRAP_SERVERS, else one broker from ../shared/kafka where that is there
# and Java is, else librdkafka's mock cluster. It is looked for and started when the first example needs it.
#
# Examples tagged `kafka: true` run on all three, `kafka: :real` not on the mock cluster, and `kafka: :cluster`, for
# which brokers are killed or told who may do what, only on ../shared/kafka. One that needs other brokers has a `kafka`
# of its own; each start takes 5 s of processor time.
module KafkaSpecs
  NEEDS = { true => %i[given shared mock], real: %i[given shared], cluster: %i[shared] }.freeze
  # Brokers that may be told who may do what. Where nothing is said all may do everything.
  RULES = { "authorizer.class.name" => "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found" => "true" }.freeze

  class << self
    def runs?(need)
      NEEDS.fetch(need).include?(kind)
    end

    # The broker of this suite.
    def broker
      @broker ||= start
    end

    # Of which one may be killed.
    def three_brokers
      @three_brokers ||= started(brokers: 3)
    end

    def close
      [@broker, @three_brokers].compact.each(&:close)
      @broker = @three_brokers = nil
    end

    # One that nobody closes may crash the process at its end: Ruby unloads librdkafka while its threads run. (The gem's
    # consumers have no finalizer.) Seen on Linux only.
    def expect_no_client
      deadline = KafkaSupport::ChildProcess.now + 5_000_000_000 # a thread that was joined may be there for a moment
      sleep 0.01 while (names = clients).any? && KafkaSupport::ChildProcess.now < deadline
      raise "a client of librdkafka was not closed: #{names.join(", ")}" if names.any?
    end

    # What was found, in one line; with how many examples it can't run.
    def about
      "Kafka: #{found}#{": #{left_out.size} examples left out" if left_out.any?}"
    end

    private

    # Names of the threads of clients.
    def clients
      names = Dir["/proc/self/task/*/comm"].map do |file|
        File.read(file).chomp
      rescue SystemCallError
        "has ended"
      end
      names.grep(/\Ardk:/)
    end

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
      case kind
      when :given then KafkaSupport::RealBroker.new(given)
      when :shared then started(settings: RULES)
      else KafkaSupport::MockBroker.new
      end
    end

    def started(**options)
      cluster = KafkaSupport::Cluster.new(**options)
      KafkaSupport::RealBroker.new(cluster.servers, cluster: cluster)
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
    if examples.any? { |example| example.metadata[:kafka] }
      config.reporter.message(KafkaSpecs.about)
      KafkaSupport::Cluster.remove_left_over
    end
  end

  config.after(:each, :kafka) { clean_up_kafka }
  # Before that, and for the examples to come: a broker may be down when one has failed.
  config.after(:each, :kafka) { |example| kafka.cluster&.up if @kept && example.exception }
  config.after(:suite) { KafkaSpecs.close }
  config.append_after(:suite) { KafkaSpecs.expect_no_client } # when all such hooks have closed what is theirs
end
