# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The numbers of a consumer: those of its pool, and what Kafka said of its partitions. Asks nobody.
    #
    # @private
    class Numbers
      # A partition of which nothing came yet.
      NOTHING = { last_acked: nil, received: 0, waiting: 0, running: 0, finished_beyond: 0, oldest_unfinished: nil,
                  oldest_sub_key: nil, oldest_age_sec: nil, oldest_attempt: nil, oldest_worker: nil }.freeze
      IDLE = Pool::Backlog.new(0, 0, 0, nil).freeze

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
        commits ||= CommitResults.new
        stats, backlogs = @pool.stats_and_backlogs
        rows = stats[:partitions] = rows(stats[:partitions], backlogs, commits)
        ages = rows.each_value.filter_map { |row| row[:oldest_age_sec] }
        stats.merge(assignment: rows.keys, oldest_age_sec: ages.max,
                    repeated_if_killed: rows.each_value.sum { |row| row[:repeated_if_killed] },
                    kafka: @lookout.reachability.to_h, commits: commits.to_h, troubles: @troubles.to_h)
      end

      # @return [Integer, nil] that of all partitions; nil: it is not known, or Kafka does not answer
      def lag
        return unless @lookout.reachability.reachable

        positions.each_value.filter_map { |row| row[:lag] }.sum
      end

      # @return [Hash{String => Hash{Symbol => Integer, nil}}] by partition: `position`, what is next to be taken,
      #   `committed`, `end` and `lag`; nil: not known
      def positions
        backlogs = @pool.backlogs
        @assignment.partitions.to_h { |name, place| [name, places(place, backlogs.fetch(name, IDLE))] }
      end

      private

      def rows(taken, backlogs, commits)
        @assignment.partitions.to_h do |name, place|
          backlog = backlogs.fetch(name, IDLE)
          repeated = backlog.begun + backlog.finished - commits.covered(place)
          [name, taken.fetch(name, NOTHING).merge(places(place, backlog), repeated_if_killed: [repeated, 0].max)]
        end
      end

      def places(topic_partition, backlog)
        position = position(topic_partition, backlog.last)
        log_end = @lookout.ends[topic_partition]
        log_end = [log_end, position].max if log_end && backlog.last
        { position: position, committed: @lookout.committed[topic_partition], end: log_end,
          lag: position && log_end && (backlog.unsettled + [log_end - position, 0].max) }
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
