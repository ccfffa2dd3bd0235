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
      # @param back_pressure [BackPressure] knows the partitions of which nothing is to come
      def initialize(numbers, assignment, back_pressure)
        @numbers = numbers
        @assignment = assignment
        @back_pressure = back_pressure
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

      # What is wrong, for the log. To be called in each turn of the poll loop.
      #
      # @return [String, nil] nil: nothing is
      def complaint
        stalled = partitions
        "Nothing comes of #{stalled.join(", ")}, whose topic was made again" if stalled.any?
      end

      # @return [Array<String>] partitions of which nothing comes
      def partitions
        return [] if @topics.empty? || now - @looked_at < PERIOD

        @looked_at = now
        @waiting = still_to_come.to_h { |name, what| [name, since(name, what)] }
        @waiting.select { |_, (since, _)| @looked_at - since >= AFTER }.keys
      end

      private

      def since(name, what)
        before = @waiting[name]
        before&.last == what ? before : [@looked_at, what]
      end

      def still_to_come
        watched = @assignment.partitions.select { |_, (topic, _)| @topics.include?(topic) }
        rows = @numbers.positions.slice(*(watched.keys - @back_pressure.paused.keys))
        rows = rows.select { |_, row| row[:position] && row[:end] && row[:position] < row[:end] }
        rows.to_h { |name, row| [name, [@assignment.since[watched[name]], row[:position]]] }
      end
    end

    private_constant :Stall
  end
end
