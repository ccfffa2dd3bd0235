# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The half of the client that is about what the group has committed.
    #
    # @private
    module GroupOffsets
      # Errors by which librdkafka or the broker say that another consumer has the partition now.
      LOST = %i[state unknown_partition assignment_lost illegal_generation unknown_member_id rebalance_in_progress
                stale_member_epoch fenced_member_epoch].freeze

      NOTHING = -1001 # librdkafka's offset of a partition of which nothing is to be committed
      ASYNCHRONOUS = 1
      NO_WAIT = 0 # milliseconds
      RESEND_TIME = 0.15 # seconds within which librdkafka sends again what had no answer: retry.backoff.ms, and half

      # Stores the offset for the next commit: everything below it is done. Returns false when the partition is not ours
      # any more.
      #
      # @param metadata [String, nil] the text to be committed beside it
      # @param covered [Integer, nil] how many messages whose work we finished are not repeated then
      def store(topic, partition, offset, metadata = nil, covered = nil)
        code = @intake.store(topic, partition, offset, metadata)
        return @commits.stored([topic, partition], offset, metadata, covered) if code.zero?

        error = Rdkafka::RdkafkaError.new(code, "Storing offset #{offset} of #{topic}/#{partition}")
        LOST.include?(error.code) ? false : raise(error)
      end

      # Has the group go on from a lower offset than what was stored or committed. librdkafka's timer commits only what
      # is above what is committed.
      def rewind(topic, partition, offset)
        @queries.went_astray(topic, partition)
        @commits.forget([topic, partition])
        return unless store(topic, partition, offset)

        OffsetList.with([topic, partition] => offset) { |native| call(:int, "commit", @native, native, ASYNCHRONOUS) }
      end

      # Has partitions that are ours go on from other offsets. What librdkafka has fetched it throws away.
      #
      # @param offsets [Hash{Array(String, Integer) => Integer}] Queries::EARLIEST: the first one
      # @return [String, nil] what librdkafka says is wrong
      def seek(offsets)
        refused = OffsetList.with(offsets) { |native| refusal("seek_partitions", native, NO_WAIT) }
        @queries.sought(offsets.keys) unless refused
        refused
      end

      # What the broker says is committed.
      #
      # @return [Hash{Array(String, Integer) => Committed}] those that have a commit
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def committed(topic_partitions, milliseconds)
        OffsetList.ask(topic_partitions) { |native| call(:int, "committed", @native, native, milliseconds) }
      end

      # Where partitions end now, as the broker says.
      #
      # @return [Hash{Array(String, Integer) => Committed}]
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def end_offsets(topic_partitions, milliseconds)
        OffsetList.ask(topic_partitions, Queries::LATEST) do |native|
          call(:int, "offsets_for_times", @native, native, milliseconds)
        end
      end

      # Commits these offsets, of partitions that are ours at this moment, and waits for the answer. They are stored,
      # too: what is stored librdkafka commits once more when partitions go.
      #
      # @param rows [Hash{Array(String, Integer) => Committed}]
      # @return [Boolean] whether all of it is committed
      def commit(rows, milliseconds)
        store_all(rows)
        confirmed = rows.empty? || OffsetList.with(rows) { |native| await_commit(native, milliseconds) }
        rows.each { |place, row| @commits.note(place, row.offset, row.metadata) } if confirmed
        confirmed
      end

      # The same for partitions that are about to go, and the broker is asked for what it has then: a commit that
      # librdkafka had put off, or sends again, may have come behind this one. If it has all, librdkafka commits nothing
      # more when they go (decision 073). Without generations (KIP-848) brokers take what comes even later, and so it is
      # waited for (decision 080).
      #
      # @param milliseconds [Integer] for each answer
      # @return [Boolean] whether all of it is committed
      def commit_last(rows, milliseconds)
        return false unless commit(rows, milliseconds)

        sleep RESEND_TIME unless rows.empty? || @membership.generations?
        return false unless committed?(rows, milliseconds)

        rows.each_key { |topic, partition| @intake.store(topic, partition, NOTHING, nil) }
        true
      end

      # Has these offsets committed by the next {Queries#committed}, once the coordinator has answered: unless
      # librdkafka may be joining the group, or is told of partitions that come or go before; and not those of
      # partitions of which something is stored or committed before. May be called on any thread.
      #
      # @param rows [Hash{Array(String, Integer) => Committed}]
      def prepare_commit(rows)
        ours = rows.select { |(topic, partition), row| store(topic, partition, *row) }
        OffsetList.with(ours) { |native| @intake.prepare_commit(native.address) }
      end

      # Nothing of that is committed any more.
      def forget_commit
        @intake.forget_commit
      end

      # Whether the broker says that these offsets, or higher ones, are committed; if not, commits those of partitions
      # that are still ours and asks again. No commit without an answer before: while a member joins, the broker reads
      # nothing else that it sends. By the time it reads the commit, that is out of date, and librdkafka 2.8 then gives
      # up all partitions.
      #
      # @param rows [Hash{Array(String, Integer) => Committed}]
      # @param milliseconds [Integer] for each answer; rdkafka's own commit would wait for as long as a session lasts
      # @param lost [Hash{Array(String, Integer) => Committed}] of partitions that went, and may be others', or of
      #   another log: these are only asked for
      # @return [Boolean, nil] nil: no answer
      def committed?(rows, milliseconds, lost: {})
        all = { **lost, **rows }
        return true if all.empty?

        missing = missing(all, milliseconds)
        return missing&.empty? if missing.nil? || missing.empty?

        commit(missing.slice(*(rows.keys & assigned)), milliseconds)
        missing(missing, milliseconds)&.empty?
      end

      private

      def store_all(rows)
        rows.each { |(topic, partition), row| store(topic, partition, *row) }
      end

      # Those of the rows that are not committed. Nil: the broker does not answer.
      def missing(rows, milliseconds)
        committed = committed(rows.keys, milliseconds)
        rows.reject { |place, row| row.reached?(committed[place]) }
      rescue Rdkafka::RdkafkaError
        nil
      end

      def await_commit(native, milliseconds)
        queue = call(:pointer, "queue_new", @native)
        code = call(:int, "commit_queue", @native, native, queue, nil, nil)
        event = call(:pointer, "queue_poll", queue, milliseconds) if code.zero?
        !event.nil? && !event.null? && call(:int, "event_error", event).zero?
      ensure
        call(:void, "event_destroy", event) if event && !event.null?
        call(:void, "queue_destroy", queue) if queue
      end
    end

    private_constant :GroupOffsets
  end
end
