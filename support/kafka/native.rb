# frozen_string_literal: true

require "ffi"
require "rdkafka"

module KafkaSupport
  # Functions of the librdkafka that the rdkafka gem has loaded and does not attach itself.
  module Native
    extend FFI::Library

    ffi_lib Rdkafka::Bindings.ffi_libraries.map(&:name)

    attach_function :rd_kafka_conf_new, [], :pointer
    attach_function :rd_kafka_conf_set, %i[pointer string string pointer size_t], :int
    attach_function :rd_kafka_new, %i[int pointer pointer size_t], :pointer
    attach_function :rd_kafka_destroy, [:pointer], :void, blocking: true
    attach_function :rd_kafka_topic_new, %i[pointer string pointer], :pointer
    attach_function :rd_kafka_topic_destroy, [:pointer], :void
    attach_function :rd_kafka_producev, %i[pointer varargs], :int, blocking: true
    attach_function :rd_kafka_produce_batch, %i[pointer int32 int pointer int], :int, blocking: true
    attach_function :rd_kafka_flush, %i[pointer int], :int, blocking: true
    attach_function :rd_kafka_init_transactions, %i[pointer int], :pointer, blocking: true
    attach_function :rd_kafka_begin_transaction, [:pointer], :pointer
    attach_function :rd_kafka_commit_transaction, %i[pointer int], :pointer, blocking: true
    attach_function :rd_kafka_abort_transaction, %i[pointer int], :pointer, blocking: true
    attach_function :rd_kafka_error_string, [:pointer], :string
    attach_function :rd_kafka_error_destroy, [:pointer], :void
    attach_function :rd_kafka_list_groups, %i[pointer string pointer int], :int, blocking: true
    attach_function :rd_kafka_group_list_destroy, [:pointer], :void

    # rd_kafka_group_list and, for its only entry, the start of rd_kafka_group_info.
    class GroupList < FFI::Struct
      layout :groups, :pointer, :count, :int
    end

    # One group as the brokers see it.
    class GroupInfo < FFI::Struct
      layout :broker_id, :int, :broker_host, :pointer, :broker_port, :int, :group, :pointer, :err, :int,
             :state, :pointer, :protocol_type, :pointer, :protocol, :pointer, :members, :pointer, :member_count, :int
    end
  end
end
