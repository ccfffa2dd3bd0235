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

      # Stands for the end of a partition where librdkafka takes a time.
      LATEST = -1

      REPORTS = 20 # at most
      ASYNCHRONOUS = 1

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

      # For calls in which rdkafka's callbacks run inside librdkafka: no exception may unwind through that.
      def self.shielded(&call)
        Thread.handle_interrupt(Object => :never, &call)
      end

      def self.find(name)
        Rdkafka::Bindings.ffi_libraries.first.find_function(name) || raise(NameError, "there is no #{name}")
      end

      # Errors that came instead of messages, the oldest first; the caller of take clears it.
      attr_reader :failures

      # What librdkafka said was wrong with brokers, the oldest first; the last few.
      attr_reader :reports

      # @param listener [#on_partitions_assigned, #on_partitions_revoked]
      # @param oauth_token [#call, nil] see {OauthToken}
      def initialize(config, listener, oauth_token = nil)
        Rdkafka::Config.ensure_log_thread # otherwise take would start it, where interrupts are masked
        @failures = []
        @reports = []
        rebalance = Rebalance.new(self, listener, config["auto.offset.reset"])
        callbacks = { rebalance: rebalance, error: method(:note_error), **OauthToken.callbacks(oauth_token) }
        @config = ClientConfig.new(config, **callbacks)
        @consumer = self.class.as_known { @config.consumer }
        @intake = open_intake
      end

      # Whether a topic exists. Makes none, since a consumer's broker does not.
      def topic?(name)
        Rdkafka::Metadata.new(@native, name).topics.any?
      rescue Rdkafka::RdkafkaError => e
        raise unless e.code == :unknown_topic_or_part

        false
      end

      # Whether a broker answers within so many milliseconds. (Not all of them have a cluster id to ask for.)
      def reachable?(milliseconds)
        FFI::MemoryPointer.new(:pointer) do |metadata|
          code = call(:int, "metadata", @native, 0, nil, metadata, milliseconds)
          call(:void, "metadata_destroy", metadata.read_pointer) if code.zero?
          return code.zero?
        end
      end

      def subscribe(topics)
        @consumer.subscribe(*topics)
      end

      # @return [Array<Message>] up to so many messages that are there, else the first one that comes within the time
      def take(count, milliseconds)
        rows = []
        messages = @intake.take(count, milliseconds, rows)
        raise @config.failure if @config.failure

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

      # Has the group go on from a lower offset than what was stored or committed. librdkafka's timer commits only what
      # is above what is committed.
      def rewind(topic, partition, offset)
        return unless store(topic, partition, offset)

        native = list([[topic, partition]], offset).to_native_tpl
        call(:int, "commit", @native, native, ASYNCHRONOUS)
      ensure
        call(:void, "topic_partition_list_destroy", native) if native
      end

      def end_offset(topic, partition)
        @intake.end_offset(topic, partition)
      end

      # Those of a list of rdkafka's that have no commit.
      #
      # @return [Array<Array(String, Integer)>] topics and partitions
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def uncommitted(list, milliseconds)
        offsets = list.empty? ? {} : offsets_of(@consumer.committed(list, milliseconds))
        offsets.filter_map { |topic_partition, offset| topic_partition if offset.nil? || offset.negative? }
      end

      # Where partitions end now, as the broker says.
      #
      # @return [Hash{Array(String, Integer) => Integer}]
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def end_offsets(topic_partitions, milliseconds)
        native = list(topic_partitions, LATEST).to_native_tpl
        code = call(:int, "offsets_for_times", @native, native, milliseconds) if topic_partitions.any?
        raise Rdkafka::RdkafkaError, code if code&.nonzero?

        offsets_of(Rdkafka::Consumer::TopicPartitionList.from_native_tpl(native))
      ensure
        call(:void, "topic_partition_list_destroy", native) if native
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

      # Whether the broker says that these offsets, or higher ones, are committed; if not, commits what is stored and
      # asks again. No commit without an answer before: while a member joins, the broker reads nothing else that it
      # sends. By the time it reads the commit, that is out of date, and librdkafka 2.8 then gives up all partitions.
      #
      # @param offsets [Hash{Array(String, Integer) => Integer}] by topic and partition
      # @param milliseconds [Integer] for each answer; rdkafka's own commit would wait for as long as a session lasts
      def committed?(offsets, milliseconds)
        return true if offsets.empty?

        reached = reached?(offsets, milliseconds)
        return reached unless reached == false

        commit(milliseconds)
        reached?(offsets, milliseconds)
      end

      # The rebalance listener is called once more if there are partitions, while messages are taken.
      def unsubscribe
        @consumer.unsubscribe
      rescue Rdkafka::RdkafkaError
        nil # after a fatal error it says so, and does it all the same
      end

      # Whether there are partitions.
      def assigned?
        !@consumer.assignment.empty?
      end

      # Leaves the group. The rebalance listener is called once more if there are partitions.
      def close
        @intake&.close
        @consumer.close
      end

      # What is wrong with brokers: the name of librdkafka's error, and its words.
      #
      # @private
      Report = Struct.new(:code, :reason)

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

      # Takes the place of rdkafka's callback, which the user may have given something to call.
      def note_error(native, code, reason, opaque)
        @reports << Report.new(Rdkafka::RdkafkaError.new(code).code, reason)
        @reports.shift if @reports.size > REPORTS
        Rdkafka::Bindings::ErrorCallback.call(native, code, reason, opaque)
      end

      # Nil: the broker does not answer.
      def reached?(offsets, milliseconds)
        committed = offsets_of(@consumer.committed(list(offsets.keys), milliseconds))
        offsets.all? { |topic_partition, offset| committed[topic_partition].to_i >= offset }
      rescue Rdkafka::RdkafkaError
        nil
      end

      # Waits for the answer, whatever it is.
      def commit(milliseconds)
        queue = call(:pointer, "queue_new", @native)
        code = call(:int, "commit_queue", @native, nil, queue, nil, nil)
        event = call(:pointer, "queue_poll", queue, milliseconds) if code&.zero?
      ensure
        call(:void, "event_destroy", event) if event && !event.null?
        call(:void, "queue_destroy", queue) if queue
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

      def list(topic_partitions, offset = nil)
        Rdkafka::Consumer::TopicPartitionList.new.tap do |list|
          topic_partitions.group_by(&:first).each do |topic, pairs|
            list.add_topic_and_partitions_with_offsets(topic, pairs.to_h { |_, partition| [partition, offset] })
          end
        end
      end

      def offsets_of(list)
        list.to_h.flat_map do |topic, entries|
          entries.map { |entry| [[topic, entry.partition], entry.offset] }
        end.to_h
      end
    end

    private_constant :Client
  end
end
