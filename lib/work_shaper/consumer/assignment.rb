# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The partitions that are ours. rdkafka calls it while messages are taken or the client is closed, always on the
    # polling thread, inside librdkafka: it does no more there than it must.
    #
    # @private
    class Assignment
      # @return [Hash{String => Array(String, Integer)}] topic and partition by the manager's name for them
      attr_reader :places

      # @return [Integer] how often it changed
      attr_reader :version

      # What went wrong in a call; rdkafka would swallow it. Or what the caller's listener raised.
      attr_reader :failure

      # @param crew [Crew] is told of partitions that go
      # @param listener [Object, nil] the caller's own rebalance listener, called after us
      def initialize(crew, listener)
        @crew = crew
        @listener = listener
        @places = {}.freeze
        @version = 0
        @goers = []
        @unheard = []
      end

      # It knows the protocol.
      attr_writer :client

      # Calls the block with the places that go, before they are forgotten.
      def on_leaving(&block)
        @goers << block
      end

      def on_partitions_assigned(list)
        guarded(:on_partitions_assigned, list) do
          leave(@places) if @client.eager? # it replaces what was there, and starts anew also what stays ours
          come(named(list))
        end
      end

      def on_partitions_revoked(list)
        guarded(:on_partitions_revoked, list) { leave(@places.slice(*named(list).keys)) }
      end

      # Tells the caller's own listener what happened. Not inside librdkafka: whatever it does there could not be
      # interrupted, and threads that it started would be deaf for ever.
      def pass_on
        while (event, list = @unheard.shift)
          @listener.public_send(event, list) if @listener.respond_to?(event)
        end
      rescue StandardError => e
        @failure ||= e
      end

      # Fences everything: nothing of it is stored any more.
      def leave_all
        leave(@places)
      end

      def ours?(message)
        @places.key?(Assignment.name_of(message.topic, message.partition))
      end

      def self.name_of(topic, partition)
        "#{topic}/#{partition}"
      end

      private

      def guarded(event, list)
        yield
        @unheard << [event, list]
      rescue StandardError => e
        @failure ||= e
      end

      def come(places)
        @places = @places.merge(places).freeze
        @version += 1
        Note.info(message: "Assigned", partitions: places.keys) if places.any?
      end

      def leave(gone)
        return if gone.empty?

        @places = @places.except(*gone.keys).freeze
        @version += 1
        dropped = gone.keys.sum { |name| @crew.revoke(name).size }
        @goers.each { |block| block.call(gone) }
        Note.info(message: "Revoked", partitions: gone.keys, dropped: dropped)
      end

      def named(list)
        list.to_h.each_with_object({}) do |(topic, partitions), places|
          topic = topic.dup.force_encoding(Encoding::UTF_8).freeze
          partitions.to_a.map(&:partition).each do |partition|
            places[Assignment.name_of(topic, partition).freeze] = [topic, partition].freeze
          end
        end
      end
    end

    private_constant :Assignment
  end
end
