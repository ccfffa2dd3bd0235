# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Notices that librdkafka brings nothing of a partition whose topic was made again. It may have kept the leader
    # epoch of the old topic; then all that brokers say of who leads the new one is out of date to it, and it says
    # nothing, for ever. Another client knows nothing of the old topic (decision 077).
    #
    # @private
    class Stall
      include Clock

      AFTER = 10 # seconds in which nothing comes, although something is left
      PERIOD = 1 # seconds between two looks

      # @param numbers [Numbers]
      # @param assignment [Assignment]
      def initialize(numbers, assignment)
        @numbers = numbers
        @assignment = assignment
        @topics = []
        @waiting = {} # by partition: since when, and for what
        @looked_at = now
      end

      # These topics were made again.
      #
      # @param topics [Array<String>]
      def watch(topics)
        @topics |= topics
      end

      # To be called in each turn of the poll loop.
      #
      # @param paused [Array<String>] partitions of which nothing is to come
      # @return [Array<String>] those of which nothing comes
      def partitions(paused)
        return [] if @topics.empty? || now - @looked_at < PERIOD

        @looked_at = now
        @waiting = still_to_come(paused).to_h { |name, what| [name, since(name, what)] }
        @waiting.select { |_, (since, _)| @looked_at - since >= AFTER }.keys
      end

      private

      def since(name, what)
        before = @waiting[name]
        before&.last == what ? before : [@looked_at, what]
      end

      def still_to_come(paused)
        watched = @assignment.partitions.select { |_, (topic, _)| @topics.include?(topic) }
        rows = @numbers.positions.slice(*(watched.keys - paused))
        rows = rows.select { |_, row| row[:position] && row[:end] && row[:position] < row[:end] }
        rows.to_h { |name, row| [name, [@assignment.since[watched[name]], row[:position]]] }
      end
    end

    private_constant :Stall
  end
end
