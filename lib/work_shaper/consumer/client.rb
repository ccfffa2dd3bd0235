# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The rdkafka gem's consumer, with a native intake on its librdkafka. Everything that the poll loop knows of Kafka
    # goes through here, so that a spec can put something else in its place.
    #
    # @private
    class Client
      include GroupOffsets

      include Clock

      REPORTS = 20 # at most
      CLOSING_TIME = 5 # seconds to leave the group
      SILENT = 0 # as syslog has it: emergencies only
      NO_GENERATION = -1 # as librdkafka has it
      CLOSING_WAIT = 100 # milliseconds between two looks whether it has left
      ENDING_TIME = 3 # seconds for librdkafka's threads to end
      ENDING_WAIT = 0.005 # seconds between two looks whether they have

      # Those that librdkafka could not close. They must live on, for librdkafka still calls them.
      @left_open = []

      class << self
        attr_reader :left_open
      end

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

      # @return [Hash{Symbol => Integer}] the addresses of librdkafka's functions that the intake needs
      def self.functions
        Intake.function_names.to_h { |name| [name, find("rd_kafka_#{name}").address] }
      end

      # Errors that came instead of messages, the oldest first; the caller of take clears it.
      attr_reader :failures

      # What librdkafka said was wrong with brokers, the oldest first; the last few.
      attr_reader :reports

      # @return [CommitResults]
      attr_reader :commits

      # @return [Queries] what other threads may ask
      attr_reader :queries

      # @return [Membership]
      attr_reader :membership

      # @return [Rdkafka::NativeKafka] for a {Request}: keeps the client open during a call
      def guard
        @consumer.instance_variable_get(:@native_kafka)
      end

      # @param listener [#rebalance] see {Rebalance}
      # @param oauth_token [#call, nil] see {OauthToken}
      def initialize(config, listener, oauth_token = nil)
        Rdkafka::Config.ensure_log_thread # otherwise take would start it, where interrupts are masked
        @failures = []
        @reports = []
        @commits = CommitResults.new(Events::Publisher.new(group: config["group.id"]))
        @membership = Membership.new(config)
        callbacks = { rebalance: Rebalance.new(self, listener), error: method(:note_error), offset_commit: @commits,
                      stats: @membership, **OauthToken.callbacks(oauth_token) }
        @intake = Intake.new
        @config = ClientConfig.new(config, **callbacks) { |native| @intake.watch(native.address, self.class.functions) }
        @consumer = self.class.as_known { @config.consumer }
        open_intake
        @queries = Queries.new(@consumer, @intake, config["isolation.level"] != "read_uncommitted",
                               config.fetch("fetch.wait.max.ms", Options::FETCH_WAIT).to_i)
      end

      # Whether a topic exists.
      def topic?(name)
        partition_count(name).positive?
      end

      # How many partitions a topic has; 0: it does not exist. Makes none, since a consumer's broker does not.
      def partition_count(topic)
        Rdkafka::Metadata.new(@native, topic).topics.sum { |description| description[:partition_count] }
      rescue Rdkafka::RdkafkaError => e
        raise unless e.code == :unknown_topic_or_part

        0
      end

      # Whether a broker answers within so many milliseconds.
      def reachable?(milliseconds)
        queries.reachable?(milliseconds)
      end

      def subscribe(topics)
        @consumer.subscribe(*topics)
      end

      # @param bytes [Integer, nil] none is taken after those that reach so many; nil: no limit
      # @return [Array<Message>] up to so many messages that are there, else the first one that comes within the time
      def take(count, milliseconds, bytes = nil)
        rows = []
        messages = @intake.take(count, milliseconds, rows, bytes)
        raise @config.failure if @config.failure

        rows.each { |row| note_failure(Failure.new(*row)) } unless rows.empty?
        messages
      end

      # For librdkafka's callbacks: take returns next.
      def interrupt
        @intake.interrupt
      end

      def end_offset(topic, partition)
        @intake.end_offset(topic, partition)
      end

      # Has the partitions come, as librdkafka asked for. It may join the group again at once: nothing that is prepared
      # is committed any more.
      #
      # @param offsets [Hash{Array(String, Integer) => Integer, nil}] where each begins; nil: where the group is
      # @param incremental [Boolean] whether they come beside those that are there, not instead of them
      # @return [String, nil] what librdkafka says is wrong
      def assign(offsets, incremental:)
        forget_commit
        OffsetList.with(offsets) { |native| incremental ? refusal("incremental_assign", native) : replace(native) }
      end

      # Has the partitions go, or (unless `incremental`) all that are there. The same goes for what is prepared.
      #
      # @return [String, nil] what librdkafka says is wrong
      def unassign(topic_partitions, incremental:)
        forget_commit
        return replace(FFI::Pointer::NULL) unless incremental

        OffsetList.with(OffsetList.every(topic_partitions)) { |native| refusal("incremental_unassign", native) }
      end

      # Whether the partitions that are ours may have other owners already.
      def lost?
        call(:int, "assignment_lost", @native).positive?
      end

      # @return [Integer] the generation of the group of which this member is; -1: of none
      def generation
        metadata = call(:pointer, "consumer_group_metadata", @native)
        return NO_GENERATION if metadata.null?

        call(:int, "consumer_group_metadata_generation_id", metadata).tap do
          call(:void, "consumer_group_metadata_destroy", metadata)
        end
      end

      # The name of the error that was fatal; nil: none was.
      def fatal_reason
        code = call(:int, "fatal_error", @native, nil, 0)
        Rdkafka::RdkafkaError.new(code).code unless code.zero?
      end

      def pause(topic_partitions)
        @consumer.pause(list(topic_partitions))
      end

      def resume(topic_partitions)
        @consumer.resume(list(topic_partitions))
      end

      # The assignment is asked for a change once more if there are partitions, while messages are taken.
      def unsubscribe
        @unsubscribed = true
        @consumer.unsubscribe
      rescue Rdkafka::RdkafkaError
        nil # after a fatal error it says so, and does it all the same
      end

      # Whether nothing more is to come.
      def unsubscribed?
        @unsubscribed
      end

      # Whether librdkafka takes itself for a member of the group. It does until the request to leave is on its way.
      def member?
        @membership.generations? ? !queries.member_id.empty? : generation.positive?
      end

      # @return [Array<Array(String, Integer)>] the partitions that are ours as librdkafka has it
      def assigned
        @consumer.assignment.to_h.flat_map { |topic, entries| entries.map { |entry| [topic, entry.partition] } }
      end

      # Leaves the group. The assignment is asked for a change once more if there are partitions. A client that does not
      # come to its end is left as it is, without a place in the group once its session is over.
      def close
        return if @closed

        @closed = true # nothing more may be asked of it
        @intake.close
        outlive_ruby
        left = left_group?
        silence
        return late("librdkafka did not leave the group in time", CLOSING_TIME) unless left
        return late("librdkafka did not end in time", ENDING_TIME) unless destroyed?

        self.class.left_open.delete(self)
      end

      # Without its config, which holds passwords.
      def inspect
        "#<#{self.class}>"
      end

      # What is wrong with brokers: the name of librdkafka's error, and its words.
      #
      # @private
      Report = Struct.new(:code, :reason)

      # An error that came instead of a message. The partition is negative when it is about a topic, or none.
      #
      # @private
      Failure = Struct.new(:response, :text, :topic, :partition) do
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

      # librdkafka's position goes on with an error, to anywhere in a damaged batch.
      def note_failure(failure)
        @failures << failure
        @queries.went_astray(failure.topic, failure.partition) if failure.topic && !failure.partition.negative?
      end

      # Takes the place of rdkafka's callback, which the user may have given something to call.
      def note_error(native, code, reason, opaque)
        @reports << Report.new(Rdkafka::RdkafkaError.new(code).code, reason)
        @reports.shift if @reports.size > REPORTS
        Rdkafka::Bindings::ErrorCallback.call(native, code, reason, opaque)
      end

      def open_intake
        self.class.as_known do
          @native = FFI::Pointer.new(guard.with_inner(&:address))
          @intake.open(@native.address)
        end
      rescue Error
        @consumer.close
        raise
      end

      # Until its threads have ended, which may never be, they must find all that they use: this object, and the
      # library, which Ruby unloads last.
      def outlive_ruby
        self.class.left_open << self
        dlopen = FFI::DynamicLibrary.open(nil, FFI::DynamicLibrary::RTLD_LAZY).find_function("dlopen")
        library = Rdkafka::Bindings.ffi_libraries.first.name
        FFI::Function.new(:pointer, %i[string int], dlopen).call(library, FFI::DynamicLibrary::RTLD_LAZY)
      end

      def late(what, waited_sec)
        SafeLog.warn(message: what, waited_sec: waited_sec)
      end

      # What its threads call of Ruby's is the log only.
      def silence
        call(:void, "set_log_level", @native, SILENT)
      end

      # Ends librdkafka's threads. Some may never end (decision 82); and rdkafka would wait for them with the GVL.
      def destroyed?
        begun = guard.synchronize do # no other thread is inside librdkafka,
          guard.instance_variable_set(:@inner, nil) # and none will be
          @intake.destroy_client
        end
        deadline = now + ENDING_TIME
        sleep(ENDING_WAIT) until (ended = @intake.client_destroyed?) || !begun || now >= deadline
        ended
      end

      # librdkafka's own call for it has no time limit. What it still asks for it asks here. A message or an error may
      # come, too, as long as there are partitions: it is consumed, for librdkafka ends the process when it meets one in
      # a queue that is only to call back.
      def left_group?
        deadline = now + CLOSING_TIME
        queue = call(:pointer, "queue_new", @native)
        error = call(:pointer, "consumer_close_queue", @native, queue)
        return true.tap { call(:void, "error_destroy", error) } unless error.null? # a fatal one; or it is closed

        until (left = call(:int, "consumer_closed", @native).positive?) || now >= deadline
          message = call(:pointer, "consume_queue", queue, CLOSING_WAIT)
          call(:void, "message_destroy", message) unless message.null?
        end
        left
      ensure
        call(:void, "queue_destroy", queue) if left || (error && !error.null?)
      end

      def list(topic_partitions)
        Rdkafka::Consumer::TopicPartitionList.new.tap do |list|
          topic_partitions.group_by(&:first).each { |topic, pairs| list.add_topic(topic, pairs.map(&:last)) }
        end
      end

      # Calls a function that returns an error as an object. Returns what it says.
      def refusal(name, *arguments)
        error = call(:pointer, name, @native, *arguments)
        return if error.null?

        call(:string, "error_string", error).dup.tap { call(:void, "error_destroy", error) }
      end

      def replace(native)
        code = call(:int, "assign", @native, native)
        Rdkafka::RdkafkaError.new(code).message unless code.zero?
      end
    end

    private_constant :Client
  end
end
