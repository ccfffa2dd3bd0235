# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Where partitions begin that come, and what of them is finished already.
    #
    # What comes of one is mostly what follows its committed offset. Not when the log is shorter by now: then librdkafka
    # begins at its first offset, or its end. The pool is told, so that it is seen.
    #
    # @private
    class Beginning
      ANSWER_TIME = 5000 # milliseconds for each of the broker's answers

      # Why a map is not used.
      REASONS = {
        foreign: "it is not WorkShaper's", other_version: "another version of WorkShaper wrote it",
        damaged: "it is damaged, or was committed beside another offset"
      }.freeze

      # @return [Array<Array(String, Integer)>] those of the last that came of which nobody has committed anything since
      #   we did
      attr_reader :resumed

      # @param client [Client]
      # @param pool [Pool] lets pass what is finished
      # @param at_end [Boolean] whether partitions without a commit begin at their end
      def initialize(client, pool, at_end:)
        @client = client
        @pool = pool
        @at_end = at_end
        @resumed = []
      end

      # Looks at what the group has committed of partitions that come. An outage leaves all to librdkafka.
      #
      # Where a group without a commit begins at the end, that end is committed as soon as the partition is assigned.
      # Otherwise what comes before the first commit would be skipped by whoever has the partition next.
      #
      # In an outage that is longer than a session partitions are lost before what is finished can be committed, and
      # mostly come back to the same member. If nobody has committed anything since, it goes on where it was.
      #
      # @param partitions [Hash{String => Array(String, Integer)}] those that come, by their names
      # @param left [Hash{Array(String, Integer) => OffsetList::Committed}] what is finished of those that were lost
      # @return [Hash{Array(String, Integer) => OffsetList::Committed}] where those begin that librdkafka is told of
      def of(partitions, left)
        @resumed = []
        committed = @client.committed(partitions.values, ANSWER_TIME)
        @resumed = partitions.values.select { |place| ours?(place, committed[place]) }
        resumed = left.slice(*@resumed)
        tell_pool(partitions, { **committed, **resumed })
        @at_end ? { **ends(partitions.values - committed.keys), **resumed } : resumed
      rescue Rdkafka::RdkafkaError => e
        SafeLog.warn(message: "Committed metadata not known", partitions: partitions.keys, error: e.message)
        {}
      end

      private

      # Whether what is committed is the last that we committed.
      def ours?(place, committed)
        known = @client.commits.offset_of(place)
        !known.nil? && committed&.offset == known
      end

      def tell_pool(partitions, rows)
        partitions.each { |name, place| @pool.begin_at(name, rows[place].offset) if rows.key?(place) }
        let_pass(partitions, rows.reject { |_, row| row.metadata.to_s.empty? })
      end

      def ends(topic_partitions)
        @client.end_offsets(topic_partitions, ANSWER_TIME)
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

      def beyond_end(map, log_end)
        "it goes beyond the end of the log" unless log_end && map.last < log_end.offset
      end

      def ignore(name, reason)
        SafeLog.warn(message: "Committed metadata ignored: #{reason}", partition: name)
      end
    end

    private_constant :Beginning
  end
end
