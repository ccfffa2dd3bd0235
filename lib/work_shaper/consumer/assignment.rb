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
        @news = []
      end

      # It knows the protocol.
      attr_writer :client

      # Calls the block with the places that go, before they are forgotten.
      def on_leaving(&block)
        @goers << block
      end

      def on_partitions_assigned(list)
        guarded do
          next if @over # librdkafka may go through with a rebalance while it is closed

          leave(@places) if @eager # it replaces what was there, and starts anew also what stays ours
          come(named(list))
          announce(:on_partitions_assigned, list)
        end
      end

      def on_partitions_revoked(list)
        guarded do
          leave(@places.slice(*named(list).keys))
          announce(:on_partitions_revoked, list)
        end
      end

      # Tells the log and the caller's own listener what happened. Not inside librdkafka: whatever they do there could
      # not be interrupted, and threads that they started would be deaf for ever. Nor can librdkafka be asked for the
      # protocol there: it never answers when it is being closed. Nothing depends on it before the first assignment.
      def pass_on
        return if @news.empty?

        @eager = @client.eager? unless @over
        @news.shift.call until @news.empty?
      rescue StandardError => e
        @failure ||= e
      end

      # Fences everything, for good: nothing of it is stored any more.
      def leave_all
        @over = true
        guarded { leave(@places) }
      end

      def ours?(message)
        @places.key?(Assignment.name_of(message.topic, message.partition))
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

      def announce(event, list)
        @news << -> { @listener.public_send(event, list) } if @listener.respond_to?(event)
      end

      def log(...)
        @news << -> { Note.info(...) }
      end

      def come(places)
        @places = @places.merge(places).freeze
        @version += 1
        log(message: "Assigned", partitions: places.keys) if places.any?
      end

      def leave(gone)
        return if gone.empty?

        @places = @places.except(*gone.keys).freeze
        @version += 1
        dropped = gone.keys.sum { |name| @crew.revoke(name).size }
        @goers.each { |block| block.call(gone) }
        log(message: "Revoked", partitions: gone.keys, dropped: dropped)
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
