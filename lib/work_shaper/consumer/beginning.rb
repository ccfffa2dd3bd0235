# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Where partitions begin that come, and what the group knows of them.
    #
    # @private
    class Beginning
      ANSWER_TIME = 5000 # milliseconds for each of the broker's answers

      # @param client [Client]
      # @param at_end [Boolean] whether partitions without a commit begin at their end
      def initialize(client, at_end:)
        @client = client
        @at_end = at_end
      end

      # Where a group without a commit begins at the end, that end is committed as soon as the partition is assigned.
      # Otherwise what comes before the first commit would be skipped by whoever has the partition next. An outage
      # leaves it to librdkafka.
      #
      # @param topic_partitions [Array<Array(String, Integer)>] those that come
      # @return [Hash{Array(String, Integer) => Integer}] where those begin that are not left to librdkafka
      def of(topic_partitions)
        return {} unless @at_end && topic_partitions.any?

        committed = @client.committed(topic_partitions, ANSWER_TIME)
        @client.end_offsets(topic_partitions - committed.keys, ANSWER_TIME).transform_values(&:offset)
      rescue Rdkafka::RdkafkaError
        {}
      end
    end

    private_constant :Beginning
  end
end
