# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The partitions that are ours. rdkafka calls this object while messages are taken or the client is closed, always
    # on the polling thread and inside librdkafka, so it does as little there as it can.
    #
    # @private
    class Assignment
      # @return [Hash{String => Array(String, Integer)}] topic and partition by the manager's name for them
      attr_reader :partitions

      # @return [Integer] how many times it changed
      attr_reader :version

      # What was raised while rdkafka called us (it would swallow that), or by the caller's listener.
      attr_reader :failure

      # @param pool [Pool] forgets the partitions that go
      # @param listener [Object, nil] the caller's own rebalance listener, called after us
      def initialize(pool, listener)
        @pool = pool
        @listener = listener
        @partitions = {}.freeze
        @version = 0
        @revoke_hooks = []
        @deferred = []
      end

      # The client knows the rebalance protocol.
      attr_writer :client

      # Calls the block with the partitions that go, once the pool has forgotten them.
      def on_revoked(&block)
        @revoke_hooks << block
      end

      def on_partitions_assigned(list)
        guarded do
          next if @over # librdkafka may complete a rebalance while it is being closed

          leave(@partitions) if @eager # it replaces what was there, and restarts even what stays ours
          come(named(list))
          defer(:on_partitions_assigned, list)
        end
      end

      def on_partitions_revoked(list)
        guarded do
          leave(@partitions.slice(*named(list).keys))
          defer(:on_partitions_revoked, list)
        end
      end

      # Tells the log and the caller's own listener what happened. Not to be called inside librdkafka: whatever they do
      # there could not be interrupted, and threads that they start there never could be. Nor can librdkafka be asked
      # for the protocol there: it never answers while it is being closed. Nothing depends on the protocol before the
      # first assignment.
      def run_deferred
        return if @deferred.empty?

        @eager = @client.eager? unless @over
        @deferred.shift.call until @deferred.empty?
      rescue StandardError => e
        @failure ||= e
      end

      # The offsets of a partition that stays ours went back: its topic was made anew, or its log was cut short. What
      # was taken before belongs to another log, and the group goes on from here.
      #
      # @param message [Message] the first that was taken from where it goes on
      def begin_anew(message)
        name = Assignment.name_of(message.topic, message.partition)
        dropped = @pool.revoke(name).size
        @client.rewind(message.topic, message.partition, message.offset)
        SafeLog.warn(message: "Offsets went back: the topic was made anew, or its log was cut short",
                     partition: name, offset: message.offset, dropped: dropped)
      end

      # Fences everything, permanently: no more offsets are stored.
      def leave_all
        @over = true
        guarded { leave(@partitions) }
      end

      def ours?(message)
        @partitions.key?(Assignment.name_of(message.topic, message.partition))
      end

      def self.name_of(topic, partition)
        "#{topic}/#{partition}"
      end

      private

      def guarded
        yield
      rescue Exception => e # rubocop:disable Lint/RescueException -- rdkafka would swallow it
        @failure ||= e
      end

      def defer(event, list)
        @deferred << -> { @listener.public_send(event, list) } if @listener.respond_to?(event)
      end

      def log(...)
        @deferred << -> { SafeLog.info(...) }
      end

      def come(partitions)
        @partitions = @partitions.merge(partitions).freeze
        @version += 1
        log(message: "Assigned", partitions: partitions.keys) if partitions.any?
      end

      def leave(gone)
        return if gone.empty?

        @partitions = @partitions.except(*gone.keys).freeze
        @version += 1
        dropped = gone.keys.sum { |name| @pool.revoke(name).size }
        @revoke_hooks.each { |block| block.call(gone) } unless @over # paused ones stay so: nothing more may come
        log(message: "Revoked", partitions: gone.keys, dropped: dropped)
      end

      def named(list)
        list.to_h.each_with_object({}) do |(topic, listed), partitions|
          topic = topic.dup.force_encoding(Encoding::UTF_8).freeze
          listed.to_a.map(&:partition).each do |partition|
            partitions[Assignment.name_of(topic, partition).freeze] = [topic, partition].freeze
          end
        end
      end
    end

    private_constant :Assignment
  end
end
