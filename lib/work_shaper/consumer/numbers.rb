# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The numbers of a consumer: those of its pool, and what Kafka said of its partitions. Asks nobody.
    #
    # @private
    class Numbers
      # A partition of which nothing came yet.
      NOTHING = { last_acked: nil, received: 0, waiting: 0, oldest_unfinished: nil, oldest_sub_key: nil,
                  oldest_age_sec: nil }.freeze

      # @param pool [Pool]
      # @param assignment [Assignment]
      # @param lookout [Lookout]
      # @param troubles [Troubles]
      def initialize(pool, assignment, lookout, troubles)
        @pool = pool
        @assignment = assignment
        @lookout = lookout
        @troubles = troubles
      end

      # @param commits [CommitResults, nil]
      # @return [Hash{Symbol => Object}]
      def to_h(commits)
        stats = @pool.stats
        stats[:partitions] = rows(stats[:partitions])
        ages = stats[:partitions].each_value.filter_map { |row| row[:oldest_age_sec] }
        stats.merge(assignment: stats[:partitions].keys, oldest_age_sec: ages.max, kafka: @lookout.reachability.to_h,
                    commits: (commits || CommitResults.new).to_h, troubles: @troubles.to_h)
      end

      private

      def rows(taken)
        backlogs = @pool.backlogs
        @assignment.partitions.to_h do |name, topic_partition|
          [name, taken.fetch(name, NOTHING).merge(places(topic_partition, *backlogs[name]))]
        end
      end

      # @param unsettled [Integer] messages that are taken and not acknowledged
      # @param last [Integer, nil] the highest offset that was taken
      def places(topic_partition, unsettled = 0, last = nil)
        position = position(topic_partition, last)
        log_end = @lookout.ends[topic_partition]
        log_end = [log_end, position].max if log_end && last
        { position: position, committed: @lookout.committed[topic_partition], end: log_end,
          lag: position && log_end && (unsettled + [log_end - position, 0].max) }
      end

      # What is next to be taken. librdkafka's position is behind what it skips; where the log begins, nothing is left
      # before.
      def position(topic_partition, last)
        next_offset = last ? last + 1 : @lookout.committed[topic_partition]
        [next_offset, @lookout.position(topic_partition), @lookout.beginnings[topic_partition]].compact.max
      end
    end

    private_constant :Numbers
  end
end
