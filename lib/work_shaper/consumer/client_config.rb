# frozen_string_literal: true

module WorkShaper
  class Consumer
    # rdkafka's configuration, with callbacks of ours in the places that librdkafka has for them: rdkafka's own one for
    # rebalances (un)assigns before it calls anybody.
    #
    # @private
    class ClientConfig < Rdkafka::Config
      PARAMETERS = {
        rebalance: %i[pointer int pointer pointer],
        error: %i[pointer int string pointer],
        offset_commit: %i[pointer int pointer pointer],
        stats: %i[pointer pointer size_t pointer],
        oauthbearer_token_refresh: %i[pointer string pointer]
      }.freeze

      # What they return, if not nothing.
      RESULTS = { stats: :int }.freeze

      # librdkafka has three threads beside those of the brokers that the config names. And we need some: a worker, the
      # timekeeper and one that writes to the log, or, beside a producer, rdkafka's own.
      THREADS = 6
      private_constant :THREADS

      # What a callback raised. It must not unwind through librdkafka, which calls them inside take and close.
      attr_reader :failure

      # @param config [Hash{String => String}]
      # @param callbacks [Hash{Symbol => #call}] by librdkafka's names, without rd_kafka_conf_set_ and _cb. This object
      #   must live as long as the client
      # @yieldparam native [FFI::Pointer] librdkafka's configuration, when a client is about to be made with it
      def initialize(config, **callbacks, &about_to_make)
        super(config)
        @about_to_make = about_to_make
        servers = config.values_at("bootstrap.servers", "metadata.broker.list").compact.join(",")
        @threads = THREADS + servers.split(",").size
        @functions = callbacks.to_h do |name, callback|
          [name, function(name, callback)]
        end
      end

      # Makes a client, or refuses to: when librdkafka cannot start a thread, it aborts the process or never returns.
      #
      # rdkafka closes clients at the end of the process. In a forked child that waits for threads which are only in the
      # parent, and hangs or crashes, depending on who has their stacks now. We close ours ourselves, where they are.
      %i[consumer producer].each do |kind|
        define_method(kind) do |*arguments, **options|
          Intake.probe_threads(@threads)
          super(*arguments, **options).tap { |client| ObjectSpace.undefine_finalizer(client) }
        end
      end

      private

      def function(name, callback)
        result = RESULTS.fetch(name, :void)
        FFI::Function.new(result, PARAMETERS.fetch(name)) { |*arguments| guarded(callback, arguments) || 0 }
      end

      def guarded(callback, arguments)
        callback.call(*arguments)
      rescue Exception => e # rubocop:disable Lint/RescueException
        @failure ||= e
        nil
      end

      def native_config(...)
        super.tap do |native|
          @functions.each { |name, function| Client.call(:void, "conf_set_#{name}_cb", native, function) }
          @about_to_make&.call(native)
        end
      end
    end

    private_constant :ClientConfig
  end
end
