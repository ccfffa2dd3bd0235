# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The rdkafka gem's consumer, with a native intake on its librdkafka. Everything that the poll loop knows of Kafka
    # goes through here, so that a spec can put something else in its place.
    #
    # @private
    class Client
      # Errors by which librdkafka or the broker say that another consumer has the partition now.
      LOST = %i[state unknown_partition assignment_lost illegal_generation unknown_member_id rebalance_in_progress
                stale_member_epoch fenced_member_epoch].freeze

      # Raises ArgumentError for settings that librdkafka does not know. Connects to nothing.
      def self.check(config)
        as_known do
          native = Rdkafka::Bindings.rd_kafka_conf_new
          config.each do |name, value|
            text = FFI::MemoryPointer.new(:char, 512)
            result = Rdkafka::Bindings.rd_kafka_conf_set(native, name, value, text, text.size)
            raise ArgumentError, "config: #{text.read_string}" unless result == :config_ok
          end
        ensure
          call(:void, "conf_destroy", native) if native
        end
      end

      # Raises an Error that names the versions when something is missing inside the gem.
      def self.as_known
        yield
      rescue NameError, TypeError, KeyError => e
        raise Error, "rdkafka #{Rdkafka::VERSION} (librdkafka #{Rdkafka::LIBRDKAFKA_VERSION}) is not as WorkShaper " \
                     "#{WorkShaper::VERSION} knows it: #{e.message}"
      end

      # Calls one of librdkafka's functions that the gem does not offer, without the GVL.
      def self.call(result, name, *arguments)
        parameters = arguments.map { |argument| argument.is_a?(Integer) ? :int : :pointer }
        FFI::Function.new(result, parameters, find("rd_kafka_#{name}"), blocking: true).call(*arguments)
      end

      def self.find(name)
        Rdkafka::Bindings.ffi_libraries.first.find_function(name) || raise(NameError, "there is no #{name}")
      end

      NO_OFFSET = -168 # there was nothing to commit

      # Errors that came instead of messages, the oldest first; the caller of take clears it.
      attr_reader :failures

      # @param listener [#on_partitions_assigned, #on_partitions_revoked]
      def initialize(config, listener)
        Rdkafka::Config.ensure_log_thread # otherwise take would start it, where interrupts are masked
        rdkafka_config = Rdkafka::Config.new(config)
        rdkafka_config.consumer_rebalance_listener = listener
        @consumer = rdkafka_config.consumer
        @failures = []
        @intake = open_intake
      end

      # Whether a broker answers within so many milliseconds.
      def answered?(milliseconds)
        id = call(:pointer, "clusterid", @native, milliseconds)
        call(:void, "mem_free", @native, id)
        !id.null?
      end

      # Whether a topic exists. Makes none, since a consumer's broker does not.
      def topic?(name)
        Rdkafka::Metadata.new(@native, name).topics.any?
      rescue Rdkafka::RdkafkaError => e
        raise unless e.code == :unknown_topic_or_part

        false
      end

      def subscribe(topics)
        @consumer.subscribe(*topics)
      end

      # @return [Array<Message>] up to so many messages that are there, else the first one that comes within the time
      def take(count, milliseconds)
        rows = []
        messages = @intake.take(count, milliseconds, rows)
        rows.each { |code, text, topic, _partition| @failures << Failure.new(code, text, topic) } unless rows.empty?
        messages
      end

      # Stores the offset for the next commit: everything below it is done. Returns false when the partition is not ours
      # any more.
      def store(topic, partition, offset)
        code = @intake.store(topic, partition, offset)
        return true if code.zero?

        error = Rdkafka::RdkafkaError.new(code, "Storing offset #{offset} of #{topic}/#{partition}")
        LOST.include?(error.code) ? false : raise(error)
      end

      def end_offset(topic, partition)
        @intake.end_offset(topic, partition)
      end

      # Whether an assignment replaces the one before it, instead of adding to it. Must not be called inside a
      # rebalance.
      def eager?
        call(:string, "rebalance_protocol", @native) == "EAGER"
      end

      def pause(topic_partitions)
        @consumer.pause(list(topic_partitions))
      end

      def resume(topic_partitions)
        @consumer.resume(list(topic_partitions))
      end

      # Commits what is stored. Returns whether the broker confirms that within so many milliseconds; when the broker is
      # gone, rdkafka's own commit would wait for as long as a session lasts.
      def committed?(milliseconds)
        queue = call(:pointer, "queue_new", @native)
        code = call(:int, "commit_queue", @native, nil, queue, nil, nil)
        code = answer_in(queue, milliseconds) if code&.zero?
        [0, NO_OFFSET].include?(code)
      ensure
        call(:void, "queue_destroy", queue) if queue
      end

      # Leaves the group. The rebalance listener is called once more.
      def close
        @intake&.close
        @consumer.close
      end

      # An error that came instead of a message.
      #
      # @private
      Failure = Struct.new(:response, :text, :topic) do
        def error
          Rdkafka::RdkafkaError.new(response, text)
        end

        def code
          error.code
        end
      end

      private

      def call(...)
        self.class.call(...)
      end

      # The error code in the event that comes; nil when none does.
      def answer_in(queue, milliseconds)
        event = call(:pointer, "queue_poll", queue, milliseconds)
        return if event.null?

        call(:int, "event_error", event)
      ensure
        call(:void, "event_destroy", event) if event && !event.null?
      end

      def open_intake
        self.class.as_known do
          @native = FFI::Pointer.new(@consumer.instance_variable_get(:@native_kafka).with_inner(&:address))
          functions = Intake.function_names.to_h { |name| [name, self.class.find("rd_kafka_#{name}").address] }
          Intake.new.open(@native.address, functions)
        end
      rescue Error
        @consumer.close
        raise
      end

      def list(topic_partitions)
        Rdkafka::Consumer::TopicPartitionList.new.tap do |list|
          topic_partitions.group_by(&:first).each { |topic, pairs| list.add_topic(topic, pairs.map(&:last)) }
        end
      end
    end

    private_constant :Client
  end
end
