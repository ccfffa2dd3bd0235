# frozen_string_literal: true

module WorkShaper
  class Consumer
    class DeadLetters
      # The producer that sends them: one of the rdkafka gem, made when it is first needed and made anew when librdkafka
      # calls it fatal, or the caller's own, which is used and otherwise left alone.
      #
      # Who answers rdkafka's oauthbearer_token_refresh_callback by himself cannot reach ours, and needs one of his own,
      # or oauth_token.
      #
      # @private
      class Producer
        include Clock

        # What is taken over from the consumer's config: where the brokers are, how to get in, and how connections
        # behave. Names that end with a dot stand for all that begin so. All else is about consuming, or (like
        # statistics.interval.ms) would call back into the application for a client that it does not know; and with
        # test.mock.* it would be another cluster.
        TAKEN_OVER = %w[
          bootstrap.servers metadata.broker.list client.id client.rack client.dns.lookup
          security. ssl. sasl. enable.sasl. enable.ssl. https.
          broker. socket. reconnect. api.version. connections.max.idle.ms enable.sparse.connections
          topic.metadata. metadata.max.age.ms metadata.recovery. retry.backoff.
          message.max.bytes receive.message.max.bytes enable.metrics.push debug log_level log.
        ].freeze

        # * acks, enable.idempotence: confirmed means that all replicas have it, and repeated requests change nothing
        # * message.timeout.ms: that the brokers are gone is news within half a minute
        # * batch.num.messages: a broker answers for a batch as a whole; so what it refuses is what was refused, and not
        #   what happened to travel with it
        # * compression.codec: the original may have fit only because it was compressed, and limits count that size
        ALWAYS = {
          "acks" => "all", "enable.idempotence" => "true", "message.timeout.ms" => "30000", "linger.ms" => "0",
          "batch.num.messages" => "1", "compression.codec" => "lz4"
        }.freeze

        # Unless the consumer's config says otherwise. librdkafka's own limit is below that of a broker: it would refuse
        # what a broker has taken before.
        DEFAULTS = { "message.max.bytes" => "100000000" }.freeze

        PATIENCE = 90 # seconds for news of a letter; librdkafka has some at message.timeout.ms, if its thread lives
        PAUSE = 1 # seconds until a producer that could not be made is tried again

        class << self
          # What of a consumer's config goes to our producer.
          #
          # @param consumer [Hash{String => String}]
          # @return [Hash{String => String}]
          def config(consumer)
            DEFAULTS.merge(consumer.select { |name, _value| taken_over?(name) }, ALWAYS)
          end

          # @return [Symbol, nil] librdkafka's code of an error, or of what caused it (WaterDrop wraps it)
          def code(error)
            while error
              return error.code if error.is_a?(Rdkafka::RdkafkaError)
              return :msg_size_too_large if refused_by_water_drop?(error)

              error = error.cause
            end
          end

          private

          # It looks at the payload's size before librdkafka does, and has no class for that.
          def refused_by_water_drop?(error)
            defined?(::WaterDrop::Errors::MessageInvalidError) &&
              error.is_a?(::WaterDrop::Errors::MessageInvalidError) && error.message.include?("max_payload_size")
          end

          def taken_over?(name)
            TAKEN_OVER.any? { |entry| entry.end_with?(".") ? name.start_with?(entry) : name == entry }
          end
        end

        # @return [Object, nil] the producer that is used now; what a handle came from
        attr_reader :client

        # @param config [Hash{String => String}] the consumer's
        # @param given [#produce_async, #produce, nil] the caller's own producer
        # @param oauth_token [#call, nil] see {OauthToken}
        # @raise [TypeError]
        def initialize(config, given, oauth_token = nil)
          @given = given
          @method = %i[produce_async produce].find { |name| given.respond_to?(name) } || :produce
          unless given.nil? || given.respond_to?(@method)
            raise TypeError, "producer is of class #{given.class}; it must answer produce_async as WaterDrop's does, " \
                             "or produce as the rdkafka gem's"
          end

          @config = ClientConfig.new(self.class.config(config), **OauthToken.callbacks(oauth_token))
          @client = given
          @lookups = {}
          @ending = []
        end

        # Hands it to the producer, and waits for nothing.
        #
        # @param message [Hash{Symbol => Object}]
        # @return [#pending?, #wait] its handle
        # @raise [StandardError] what the producer raises
        def produce(message)
          connect
          message = message.merge(key: nil) if @method == :produce_async && message[:key] == "" # WaterDrop refuses ""
          handle = TraceHeaders.continue(message[:headers]) { @client.public_send(@method, **message) }
          return handle if handle.respond_to?(:pending?) && handle.respond_to?(:wait)

          raise TypeError, "the producer's #{@method} returned an object of class #{handle.class}; it must return a " \
                           "handle, which answers pending? and wait"
        end

        # The same partition of a topic that may have fewer of them.
        #
        # @return [Integer, nil, :later] nil: the producer does not say how many there are; :later: that is being looked
        #   up, ask again
        # @raise [StandardError] it could not be looked up
        def partition(topic, number)
          connect
          return unless @client.respond_to?(:partition_count)

          @lookups.delete(topic) if @lookups[topic]&.stale?
          count = (@lookups[topic] ||= Lookup.new(@client, topic)).count
          count.is_a?(Integer) ? number % count : count # nil and :later as they are
        end

        # Whether there should have been news of it: never about the caller's own producer, which has its own limits.
        def late?(seconds)
          @given.nil? && seconds > PATIENCE
        end

        # It is of no use any more, and is made anew when the next is sent. Not if that has happened already.
        def discard(client)
          return if @given || client.nil? || !client.equal?(@client)

          @client = nil
          forget_lookups
          @ending.select!(&:alive?)
          @ending << closing(client)
        end

        # Returns within so many seconds; what is not closed by then, is closed later.
        def close(seconds)
          @closed = true
          forget_lookups
          discard(@client)
          limit = now + seconds
          @ending.each { |thread| thread.join([limit - now, 0].max) }
        end

        # Without its state, which holds passwords.
        def inspect
          "#<#{self.class}>"
        end

        private

        # One that cannot be made (a file with a certificate is missing, say) is not tried again for each letter.
        def connect
          return if @client

          raise Error, "the dead letters are closed" if @closed
          raise @error if @error && now - @failed_at < PAUSE

          @client = @config.producer
        rescue RuntimeError => e
          @failed_at = now unless e.equal?(@error)
          @error = e
          raise
        end

        # Purging first: close waits for everything that is under way.
        def closing(client)
          thread = Thread.new do
            Thread.handle_interrupt(Object => :immediate) { client.purge }
          rescue StandardError => e
            SafeLog.warn(message: "Error in closing the dead letters' producer", **SafeLog.details(e))
          ensure
            client.close
          end
          thread.name = "work_shaper dead letters: closing"
          thread
        end

        def forget_lookups
          lookups = @lookups
          @lookups = {}
          lookups.each_value(&:cancel)
        end

        # How many partitions a topic has. It is asked on a thread of its own: rdkafka's partition_count waits for a
        # broker for seconds, and rdkafka 0.22 repeats that for minutes when one does not answer.
        class Lookup
          include Clock

          MISSING = 3 # Kafka's number for UNKNOWN_TOPIC_OR_PART
          KNOWN = 30 # seconds for which a count is used; partitions may be added
          FAILED = 1 # seconds until a topic that could not be looked up is tried again
          PATIENCE = 5 # seconds until those that wait for it are told so

          def initialize(client, topic)
            @client = client
            @topic = topic
            @began = now
            @thread = Thread.new { Thread.handle_interrupt(Object => :immediate) { ask } }
            @thread.name = "work_shaper dead letters: partitions"
          end

          def stale?
            return !@thread.alive? unless @ended # killed before it began

            now - @ended > (@error ? FAILED : KNOWN)
          end

          # @return [Integer, nil, :later]
          # @raise [StandardError]
          def count
            return late unless @ended
            raise @error if @error

            @count
          end

          # Ends the look-up.
          def cancel
            @thread.kill
          end

          private

          def ask
            @error = Error.new("looking up the partitions of #{@topic} was cut off")
            @count = known(@client.partition_count(@topic))
            @error = nil
          rescue StandardError, ScriptError => e
            @error = e
          ensure
            @ended = now
          end

          # rdkafka answers -1 for a topic that is not there; a WaterDrop that delivers nothing answers no number.
          def known(count)
            return unless count.is_a?(Integer)
            return count if count.positive?

            raise Rdkafka::RdkafkaError.new(MISSING, "Looking up topic #{@topic}")
          end

          def late
            return :later if now - @began < PATIENCE

            raise Error, "no broker said in #{PATIENCE} s how many partitions #{@topic} has"
          end
        end

        private_constant :Lookup
      end

      private_constant :Producer
    end
  end
end
