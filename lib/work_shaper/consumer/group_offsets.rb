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

      # Stands for the end of a partition where librdkafka takes a time.
      LATEST = -1

      ASYNCHRONOUS = 1

      # librdkafka's codes.
      TIMED_OUT = -185
      NOTHING_STORED = -168

      # Stores the offset for the next commit: everything below it is done. Returns false when the partition is not ours
      # any more.
      def store(topic, partition, offset)
        code = @intake.store(topic, partition, offset)
        return true if code.zero?

        error = Rdkafka::RdkafkaError.new(code, "Storing offset #{offset} of #{topic}/#{partition}")
        LOST.include?(error.code) ? false : raise(error)
      end

      # Has the group go on from a lower offset than what was stored or committed. librdkafka's timer commits only what
      # is above what is committed.
      def rewind(topic, partition, offset)
        return unless store(topic, partition, offset)

        OffsetList.with([topic, partition] => offset) { |native| call(:int, "commit", @native, native, ASYNCHRONOUS) }
      end

      # What the broker says is committed.
      #
      # @return [Hash{Array(String, Integer) => Committed}] those that have a commit
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def committed(topic_partitions, milliseconds)
        ask("committed", topic_partitions, nil, milliseconds)
      end

      # Where partitions end now, as the broker says.
      #
      # @return [Hash{Array(String, Integer) => Committed}]
      # @raise [Rdkafka::RdkafkaError] no answer within so many milliseconds
      def end_offsets(topic_partitions, milliseconds)
        ask("offsets_for_times", topic_partitions, LATEST, milliseconds)
      end

      # Commits what is stored, and waits for the answer.
      #
      # @return [Boolean] whether all of it is committed
      def commit(milliseconds)
        queue = call(:pointer, "queue_new", @native)
        code = call(:int, "commit_queue", @native, nil, queue, nil, nil)
        event = call(:pointer, "queue_poll", queue, milliseconds) if code.zero?
        code = event.null? ? TIMED_OUT : call(:int, "event_error", event) if event
        [0, NOTHING_STORED].include?(code)
      ensure
        call(:void, "event_destroy", event) if event && !event.null?
        call(:void, "queue_destroy", queue) if queue
      end

      # Whether the broker says that these offsets, or higher ones, are committed; if not, commits what is stored and
      # asks again. No commit without an answer before: while a member joins, the broker reads nothing else that it
      # sends. By the time it reads the commit, that is out of date, and librdkafka 2.8 then gives up all partitions.
      #
      # @param offsets [Hash{Array(String, Integer) => Integer}] by topic and partition
      # @param milliseconds [Integer] for each answer; rdkafka's own commit would wait for as long as a session lasts
      def committed?(offsets, milliseconds)
        return true if offsets.empty?

        reached = reached?(offsets, milliseconds)
        return reached unless reached == false

        commit(milliseconds)
        reached?(offsets, milliseconds)
      end

      private

      def ask(what, topic_partitions, offset, milliseconds)
        return {} if topic_partitions.empty?

        OffsetList.with(topic_partitions.to_h { |place| [place, offset] }) do |native|
          code = call(:int, what, @native, native, milliseconds)
          raise Rdkafka::RdkafkaError, code unless code.zero?

          OffsetList.read(native)
        end
      end

      # Nil: the broker does not answer.
      def reached?(offsets, milliseconds)
        committed = committed(offsets.keys, milliseconds)
        offsets.all? { |place, offset| committed[place] && committed[place].offset >= offset }
      rescue Rdkafka::RdkafkaError
        nil
      end
    end

    private_constant :GroupOffsets
  end
end
