# frozen_string_literal: true

require "logger"
require "rdkafka"
require_relative "child_process"
require_relative "cluster"

module KafkaSupport
  # Brokers that run: a user's own, or those of a Cluster.
  class RealBroker
    DEFAULT_SHORTEST_SESSION_MS = 6_000
    # What describe_configs calls the brokers.
    BROKER_RESOURCE = 4
    # Every five minutes Kafka deletes what the timestamps of messages say is too old; examples choose theirs.
    KEEP = { "retention.ms" => "-1" }.freeze
    NOT_THERE = %i[unknown_topic_or_part group_id_not_found].freeze
    LONGEST_SESSION = 15_000_000_000
    LONGEST_ANSWER = 40_000_000_000

    attr_reader :servers, :cluster

    def initialize(servers, cluster: nil)
      @servers = servers
      @cluster = cluster
      @topics = []
      @groups = []
    end

    def real?
      true
    end

    # `settings`: those of the topic, beside KEEP.
    def create_topic(name, partitions:, settings: {})
      @topics << name
      answer_of(admin.create_topic(name, partitions, -1, KEEP.merge(settings)))
    end

    def delete_topic(name)
      answer_of(admin.delete_topic(name))
    end

    # `partitions`: how many there will be in all.
    def add_partitions(topic, partitions)
      answer_of(admin.create_partitions(topic, partitions))
    end

    # The id of the broker that leads a partition.
    def leader(topic, partition)
      described = admin.metadata(topic).topics.first[:partitions]
      described.find { |row| row[:partition_id] == partition }.fetch(:leader)
    end

    def group(name)
      @groups << name
      name
    end

    # Says that nobody may write to a topic, to brokers that ask an authorizer and allow all to everybody where nothing
    # is said.
    def forbid_writing(topic)
      rules = Rdkafka::Bindings
      [[rules::RD_KAFKA_ACL_OPERATION_ALL, rules::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW],
       [rules::RD_KAFKA_ACL_OPERATION_WRITE, rules::RD_KAFKA_ACL_PERMISSION_TYPE_DENY]].each do |operation, permission|
        answer_of(admin.create_acl(**about(topic), operation: operation, permission_type: permission))
      end
    end

    # Takes back all that was said of it.
    def allow_writing(topic)
      rules = Rdkafka::Bindings
      answer_of(admin.delete_acl(**about(topic), operation: rules::RD_KAFKA_ACL_OPERATION_ANY,
                                                 permission_type: rules::RD_KAFKA_ACL_PERMISSION_TYPE_ANY))
    end

    # The shortest session.timeout.ms that it takes of its consumers.
    def shortest_session_ms
      @shortest_session_ms ||= broker_setting("group.min.session.timeout.ms") || DEFAULT_SHORTEST_SESSION_MS
    end

    # What an example made; a group whose member was killed at its end is deleted later.
    def clean_up
      @topics.reject! { |topic| deleted? { answer_of(admin.delete_topic(topic)) } }
      @groups.reject! { |group| deleted? { answer_of(admin.delete_group(group)) } }
    end

    # On a user's own brokers nothing stays.
    def close
      clean_up
      deadline = ChildProcess.now + LONGEST_SESSION
      until cluster || @groups.empty? || ChildProcess.now > deadline
        sleep 0.2
        clean_up
      end
      @admin&.close
      @cluster&.close
    end

    private

    def admin
      @admin ||= Rdkafka::Config.new("bootstrap.servers": @servers).admin
    end

    # rdkafka waits on a condition variable, and Ruby can lose its wake-up (docs/decisions/013).
    def answer_of(handle)
      deadline = ChildProcess.now + LONGEST_ANSWER
      sleep 0.005 while handle.pending? && ChildProcess.now < deadline
      raise Rdkafka::AbstractHandle::WaitTimeoutError, "no answer from #{@servers}" if handle.pending?

      handle.wait
    end

    def about(topic)
      { resource_type: Rdkafka::Bindings::RD_KAFKA_RESOURCE_TOPIC, resource_name: topic,
        resource_pattern_type: Rdkafka::Bindings::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        principal: "User:ANONYMOUS", host: "*" }
    end

    def broker_setting(name)
      id = admin.metadata.brokers.first[:broker_id]
      report = answer_of(admin.describe_configs([{ resource_type: BROKER_RESOURCE, resource_name: id.to_s }]))
      report.resources.first.configs.find { |config| config.name == name }&.value&.to_i
    rescue Rdkafka::RdkafkaError
      nil # not everybody may ask
    end

    def deleted?
      yield
      true
    rescue Rdkafka::RdkafkaError => e
      warn "Kafka: #{e.message}" unless NOT_THERE.include?(e.code) || e.code == :non_empty_group
      NOT_THERE.include?(e.code)
    end
  end

  # librdkafka's mock cluster, in a process of its own. It has neither transactions nor compaction nor KIP-848, and it
  # forgets what is more than 5 MiB of a partition.
  class MockBroker
    attr_reader :servers

    def initialize
      input, @requests = IO.pipe
      @answers, output = IO.pipe
      pid = ChildProcess.spawn_ruby(File.join(__dir__, "mock_owner.rb"), in: input, out: output)
      @owner = Process.detach(pid)
      [input, output].each(&:close)
      @servers = answer
    end

    def real?
      false
    end

    def cluster; end

    def create_topic(name, partitions:, settings: {})
      raise ArgumentError, "the mock cluster knows no settings of topics: #{settings}" if settings.any?

      @requests.puts("#{name} #{partitions}")
      answer
    end

    def group(name)
      name
    end

    # It ends a session within this, and rebalances as long as a session of 2 s less one.
    def shortest_session_ms
      2_000
    end

    def clean_up; end

    def close
      @requests.close
      @owner.join
    end

    private

    def answer
      @answers.gets&.chomp || raise("the owner of the mock cluster ended: #{@owner.value}")
    end
  end
end
