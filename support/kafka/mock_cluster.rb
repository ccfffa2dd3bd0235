# frozen_string_literal: true

require "ffi"
require "rdkafka"

module KafkaSupport
  # A Kafka broker inside this process: librdkafka's mock cluster, which the rdkafka gem ships. Clients of this
  # and of other processes reach it at `bootstrap_servers`. It keeps 5 MiB per partition and forgets what is
  # older, knows no CreateTopics request, and ends with its owner: close every client before it.
  class MockCluster
    # The functions of librdkafka's mock.h that the gem does not attach, on the gem's own library.
    module Native
      extend FFI::Library

      ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

      attach_function :rd_kafka_handle_mock_cluster, [:pointer], :pointer
      attach_function :rd_kafka_mock_cluster_bootstraps, [:pointer], :string
      attach_function :rd_kafka_mock_topic_create, %i[pointer string int int], :int
      attach_function :rd_kafka_mock_group_initial_rebalance_delay_ms, %i[pointer int32], :void
    end

    attr_reader :bootstrap_servers

    def initialize
      # librdkafka replaces the address by the mock cluster's own.
      @owner = Rdkafka::Config.new("bootstrap.servers": "127.0.0.1:9", "test.mock.num.brokers": 1).producer
      native = @owner.instance_variable_get(:@native_kafka)
      @cluster = native.with_inner { |handle| Native.rd_kafka_handle_mock_cluster(handle) }
      @bootstrap_servers = Native.rd_kafka_mock_cluster_bootstraps(@cluster)
      Native.rd_kafka_mock_group_initial_rebalance_delay_ms(@cluster, 0)
    end

    def create_topic(name, partitions:)
      response = Native.rd_kafka_mock_topic_create(@cluster, name, partitions, 1)
      raise Rdkafka::RdkafkaError, response unless response.zero?
    end

    def close
      @owner.close
    end
  end
end
