# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Where partitions begin that come, and what of them is finished already.
    #
    # @private
    class Beginning
      ANSWER_TIME = 5000 # milliseconds for each of the broker's answers

      # Why a map is not used.
      REASONS = {
        foreign: "it is not WorkShaper's", other_version: "another version of WorkShaper wrote it",
        damaged: "it is damaged, or was committed beside another offset"
      }.freeze

      # @param client [Client]
      # @param pool [Pool] lets pass what is finished
      # @param at_end [Boolean] whether partitions without a commit begin at their end
      def initialize(client, pool, at_end:)
        @client = client
        @pool = pool
        @at_end = at_end
      end

      # Looks at what the group has committed of partitions that come. An outage leaves all to librdkafka.
      #
      # Where a group without a commit begins at the end, that end is committed as soon as the partition is assigned.
      # Otherwise what comes before the first commit would be skipped by whoever has the partition next.
      #
      # @param partitions [Hash{String => Array(String, Integer)}] those that come, by their names
      # @return [Hash{Array(String, Integer) => Integer}] where those begin that are not left to librdkafka
      def of(partitions)
        committed = @client.committed(partitions.values, ANSWER_TIME)
        let_pass(partitions, committed.reject { |_, row| row.metadata.to_s.empty? })
        @at_end ? ends(partitions.values - committed.keys) : {}
      rescue Rdkafka::RdkafkaError => e
        SafeLog.warn(message: "Committed metadata not known", partitions: partitions.keys, error: e.message)
        {}
      end

      private

      def ends(topic_partitions)
        @client.end_offsets(topic_partitions, ANSWER_TIME).transform_values(&:offset)
      end

      # A log that lost its end may have other messages at these offsets.
      def let_pass(partitions, committed)
        maps = committed.transform_values { |row| OffsetMap.decode(row.metadata, row.offset) }
        ends = ends(maps.reject { |_, map| map.is_a?(Symbol) }.keys)
        partitions.each do |name, place|
          next unless (map = maps[place])

          reason = map.is_a?(Symbol) ? REASONS.fetch(map) : beyond_end(map, ends[place])
          reason ? ignore(name, reason) : @pool.let_pass(name, map)
        end
      end

      def beyond_end(map, offset)
        "it goes beyond the end of the log" unless offset && map.last < offset
      end

      def ignore(name, reason)
        SafeLog.warn(message: "Committed metadata ignored: #{reason}", partition: name)
      end
    end

    private_constant :Beginning
  end
end
