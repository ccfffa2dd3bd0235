# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A manager that is fed by the poll loop, which keeps to the limits itself and waits only as long as it says.
    #
    # @private
    class Pool < Manager
      include Feeding
      include Handling

      public :concurrency=, :events, :drop_waiting, :drop_waiting_of, :drop_beyond, :drop_resting, :wind_down, :fatal,
             :held?, :running, :closer_look

      # @param sub_key [#call(message), nil] nil: the message's key
      # @param block [#call(message)] does the work of a message
      # @param around [#call(message, &work), nil] what it runs inside, and what a callable give_up does
      # @param policy [RetryPolicy]
      # @param sending [Hash] how dead letters are sent: see {DeadLetters}
      # @param max_bytes [Integer] what unfinished messages may weigh, about
      # @param events [Events::Publisher]
      def initialize(sub_key:, block:, around:, policy:, sending:, max_bytes:, events:, **rest)
        @events = events
        @sub_key = sub_key
        @policy = policy
        @sub_key_errors = {}.compare_by_identity
        @maps = {}
        @begins = {}
        super(work: ->(message, _partition, _offset) { work_on(message) }, **rest)
        @max_bytes = self.max_bytes = max_bytes
        @handler = handler(block, around)
        @failures.around = around
        @failures.on_over = @sub_key_errors.method(:delete)
        @failures.dead_letters = @dead_letters = DeadLetters.new(**sending) { |*answer| @failures.sent(*answer) }
      end

      # @return [Integer]
      attr_reader :max_bytes

      # Enqueues messages without checking the limits. A message whose sub key cannot be found has no order: the error
      # is raised where its work would be done, and its sub key is asked for again at the next try.
      #
      # @return [Integer] how many: 0 if the offset of the first one went back, or is below where its partition was to
      #   begin; not all if that is so of the next one, or if sub keys have taken a while, so that it is time to poll
      def feed(messages)
        super(messages, @sub_key, @sub_key_errors, @maps, @begins).tap { forget_maps unless @maps.empty? }
      end

      # What the map says of a partition that comes is finished will only be acknowledged.
      #
      # @param map [OffsetMap]
      def let_pass(partition, map)
        @maps[partition] = map
      end

      # A partition comes, and nothing below that offset is to come of it.
      def begin_at(partition, offset)
        @begins[partition] = offset
      end

      # From where another owner of a partition would have to go on.
      #
      # @param partition [String] its name
      # @return [Array(Integer, String, Integer), nil] the fields of {OffsetList::Committed}; nil: nothing is finished
      def checkpoint(partition)
        super(partition, @maps[partition])
      end

      # What should be committed of partitions; of those of which nothing is finished, nothing.
      #
      # @param partitions [Hash{String => Array(String, Integer)}] topic and partition by name
      # @return [Hash{Array(String, Integer) => OffsetList::Committed}]
      def checkpoints(partitions)
        partitions.each_with_object({}) do |(name, place), rows|
          row = checkpoint(name)
          rows[place] = OffsetList::Committed.new(*row) if row
        end
      end

      def revoke(partition)
        super.tap do
          @maps.delete(partition)
          @begins.delete(partition)
          # Those that run, too: they are not tried again.
          @sub_key_errors.each_key.to_a.each do |message|
            @sub_key_errors.delete(message) if Assignment.name_of(message.topic, message.partition) == partition
          end
        end
      end

      # What {#stats} does not say of a partition: how many messages were finished in this assignment, have begun and
      # are not finished, are taken and not acknowledged; and the highest offset that was taken.
      Backlog = Struct.new(:finished, :begun, :unsettled, :last)

      # @return [Array(Hash{Symbol => Object}, Hash{String => Backlog})] {#stats} and that, of the same moment
      def stats_and_backlogs
        rows = partition_rows
        [numbers(rows), backlogs(rows)]
      end

      # @return [Hash{String => Backlog}]
      def backlogs(rows = partition_rows)
        rows.to_h { |row| [row.first, Backlog.new(*row.last(Backlog.members.size))] }
      end

      # @return [Float] seconds that the oldest try has run; 0.0: none runs
      def oldest_try_sec
        tries.map(&:seconds).max || 0.0
      end

      # What the log says of the message that a thread has; nothing, if it has none.
      def work_of(thread)
        try = tries.find { |running| running.thread.equal?(thread) }
        try ? { **place(try.partition), offset: try.offset, attempt: try.attempt, age_sec: try.seconds.round(1) } : {}
      end

      # @raise [Exception] what has shut it down by itself, if anything has
      def raise_fatal
        return unless (_, error = fatal)

        raise error || Error.new(stats[:fatal])
      end

      # Ends the threads that help with failures, and gives back memory: to be called last, when the client is closed. A
      # dead letter that is not confirmed by now was not finished.
      def close(seconds)
        # Their partitions are gone: whatever is said of them has no effect, but lets the threads end.
        @dead_letters.close(seconds).each { |failure| __send__(:resume, failure, true) }
        @time_limit&.close
        trim_memory
      end

      private

      def forget_maps
        @maps.each { |partition, map| log_refuted(partition) if map.refuted? }
        @maps.delete_if { |_, map| map.over? }
      end

      def log_refuted(partition)
        SafeLog.warn(message: "Committed metadata ignored: it was committed for another log", partition: partition)
      end

      # Nobody waits for its work but {Consumer#run}.
      def rails_execution
        RailsExecution.of_application(group: @events.about[:group], reload: true)
      end

      def retry_policy(_words)
        @policy
      end

      # By default it skips nothing.
      def skips_untold?(_words)
        false
      end

      # Only the block has a time limit: see {Handling#handler}.
      def limit_work(work)
        work
      end

      # A message whose sub key is nil is its own sub key; its payload does not belong in a log.
      def numbers(_rows)
        super.tap do |stats|
          stats[:bytes] = bytes
          stats[:partitions].each_value { |row| row[:oldest_sub_key] = shown_sub_key(row[:oldest_sub_key]) }
          stats[:stuck].each { |row| row[:sub_key] = shown_sub_key(row[:sub_key]) }
          stats[:hot_keys].reject! { |row| row[:sub_key].is_a?(Message) }
        end
      end

      def shown_sub_key(sub_key)
        sub_key unless Message === sub_key
      end

      # By topic.
      def durations_by_kind
        durations.filter_map { |topic, queue, work| [topic, { queue: queue, work: work }] if topic }.to_h
      end

      # The consumer's.
      def publisher
        @events
      end

      # The consumer tells of that.
      def tell_life(_event); end

      def place(partition)
        topic, _, number = partition.rpartition("/")
        { topic: topic, partition: Integer(number, 10) }
      end
    end

    private_constant :Pool
  end
end
