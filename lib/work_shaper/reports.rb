# frozen_string_literal: true

module WorkShaper
  # What a manager reports about itself: numbers, lines in the log, and events.
  module Reports
    TOTALS = %i[total_enqueued total_acked total_failed total_refused total_dropped in_flight waiting running workers
                sub_keys retrying dead_letters_waiting total_attempts].freeze
    PARTITION = %i[last_acked received waiting running finished_beyond oldest_unfinished oldest_sub_key oldest_age_sec
                   oldest_attempt oldest_worker].freeze
    RATES = %i[last_second last_minute last_15_minutes].freeze
    private_constant :TOTALS, :PARTITION, :RATES

    # The state of the manager at this moment.
    #
    # * `total_enqueued`, `total_acked` (refused and repeated offsets included), `total_failed` (work or on_done
    #   raised), `total_refused`, `total_dropped` (by {Manager#revoke}, or by a consumer that stops), `total_attempts`:
    #   counts since the manager was made
    # * `in_flight` (enqueued, not yet acknowledged or dropped), `waiting` (not started), `running`: messages
    # * `workers`: threads; `sub_keys`: those with something waiting or running
    # * `shutting_down`: Boolean; `fatal`: why the manager shut down by itself, a String, or nil
    # * `failures`: how many attempts failed, by the name of the error's class: a hundred of them at most, and the rest
    #   as "other"
    # * `rates`: messages a second that were `enqueued` and `attempts` that ended, each a Hash of `last_second`,
    #   `last_minute` and `last_15_minutes` (full seconds, of as many as there were)
    # * `durations`: a {Histogram} of the time in `queue`, from when a message was enqueued until its first attempt
    #   (accurate to about 10 ms), and one of the `work` of all attempts. (Of those that take less than 10 microseconds
    #   about one in eight is measured, and counts for the others.)
    # * `hot_keys`: the ten sub keys on which most messages wait, each a Hash of `sub_key` and `waiting`
    # * `retrying`: messages that wait to be tried again; `dead_letters_waiting`: those whose giving up is not confirmed
    # * `total_retried`, `total_skipped`, `total_dead_lettered`: counts of tries and messages
    # * `breaker`: its `state` (:closed or :open) and what it knows, or nil
    # * `stuck`: for each try that has run for `stuck_after` a Hash of `partition`, `offset`, `sub_key`, `age_sec` and
    #   `attempt`
    # * `events_dropped`: how many events of this process subscribers did not take in time (see
    #   {WorkShaper.instrumenter})
    # * `partitions`: for each partition a Hash of `last_acked` (offset or nil), `received` (count, in this assignment),
    #   `waiting` (not started, or to be tried again), `running`, `finished_beyond` (finished, and not acknowledged as
    #   long as a lower one is not), `oldest_unfinished` (the offset that holds up the others, or nil), its
    #   `oldest_sub_key`, `oldest_age_sec`, seconds since it was enqueued, accurate to about 10 ms, `oldest_attempt`
    #   (which it is at, or waits for) and `oldest_worker` (the name of the thread that has it; nil: it waits)
    #
    # @return [Hash{Symbol => Object}]
    # @raise [ForkedProcess] the manager belongs to the parent process
    # @example
    #   shaper.stats[:partitions][0] #=> { last_acked: 41, received: 50, waiting: 2, oldest_unfinished: 42, ... }
    def stats
      numbers(partition_rows)
    end

    # Writes the state to {WorkShaper.logger}, in the fields of WorkShaper 0.1.3.
    #
    # @param detailed [Boolean] whether to add a second line with the state of each partition, including the sub key of
    #   its oldest message; the reports that a manager writes by itself name no sub key, which is often a customer's id
    # @return [nil]
    # @raise [ForkedProcess] the manager belongs to the parent process
    # @example
    #   shaper.report(detailed: true)
    def report(detailed: false)
      logger = WorkShaper.logger
      logger.info { summary(stats) }
      logger.info { detail(stats) } if detailed
      nil
    end

    private

    # The stats, with what these rows say of partitions.
    def numbers(rows)
      numbers = TOTALS.zip(totals).to_h.merge(@failures.stats, stuck: stuck_rows, shutting_down: shutting_down?,
                                                               fatal: fatal_text, events_dropped: Events.dropped,
                                                               rates: rates_by_period, durations: durations_by_kind,
                                                               hot_keys: hot_keys)
      # Last, since a partition's #hash may be anything, and may use the manager.
      numbers.merge(partitions: rows.to_h { |partition, *values| [partition, partition_numbers(values)] })
    end

    def partition_numbers(row)
      *known, failure, worker = row.first(PARTITION.size)
      numbers = PARTITION.zip(known).to_h
      attempt = failure ? failure.attempt : 1
      numbers.merge(oldest_attempt: (attempt if numbers[:oldest_unfinished]), oldest_worker: worker&.name)
    end

    def rates_by_period
      %i[enqueued attempts].zip(rates.transpose).to_h { |what, values| [what, RATES.zip(values).to_h] }
    end

    def durations_by_kind
      _, queue, work = durations.last
      { queue: queue, work: work }
    end

    def hot_keys
      hot_key_rows.map { |sub_key, waiting| { sub_key: sub_key, waiting: waiting } }
    end

    # A report that nobody asked for names no sub key.
    def report_unasked
      SafeLog.info { summary(stats) }
      SafeLog.info { without_sub_keys(detail(stats)) }
    end

    def without_sub_keys(detail)
      detail.merge(received_offsets: detail[:received_offsets].transform_values { |row| row.except(:oldest_sub_key) })
    end

    def summary(stats)
      { message: "Reporting", total_enqueued: stats[:total_enqueued], total_acked: stats[:total_acked],
        in_flight: stats[:in_flight],
        last_acked_offsets: stats[:partitions].transform_values { |row| row[:last_acked] },
        worker_count: stats[:workers], offset_mgr: acknowledger_status }
    end

    def detail(stats)
      finished = stats[:in_flight] - stats[:waiting] - stats[:running]
      { message: "Reporting - Extra Detail", pending_ack: [finished, 0].max, received_offsets: stats[:partitions] }
    end

    def fatal_text
      callback, error, partition, offset = fatal
      return unless callback

      happened = error ? "raised #{SafeLog.describe(error)}" : "was cut off: its thread was killed"
      "#{callback} of partition #{partition.inspect} offset #{offset} #{happened}"
    end

    def beat
      report_unasked
    end

    def log_shutdown
      why = fatal_text
      SafeLog.public_send(why ? :warn : :info) { { message: "Shutting Down", fatal: why } }
      tell_life(:stopping) { { fatal: why } }
      report_unasked
    end

    def log_ack_error(error)
      SafeLog.error { { message: "Error in ack", **SafeLog.details(error) } }
    end

    # One try has run for long. Its sub key is in stats, not in the log.
    def log_stuck(row)
      try = Try.new(*row)
      SafeLog.warn(message: "Stuck", **place(try.partition), offset: try.offset, age_sec: try.seconds.round(1),
                   attempt: try.attempt, backtrace: try.thread.backtrace&.first(10))
      tell(:stuck, try.message, try.partition, try.offset) do
        { attempt: try.attempt, age: try.seconds, backtrace: try.thread.backtrace }
      end
    end

    # What the log says of the try that runs on a thread.
    def place_of(thread)
      try = tries.find { |running| running.thread.equal?(thread) }
      try ? { **place(try.partition), offset: try.offset, attempt: try.attempt } : {}
    end

    # What the log says of a partition.
    def place(partition)
      { partition: partition }
    end

    def stuck_rows
      limit = @policy.stuck_after or return []
      tries.select { |try| try.seconds >= limit }.map do |try|
        { partition: try.partition, offset: try.offset, sub_key: try.sub_key, age_sec: try.seconds.round(3),
          attempt: try.attempt }
      end
    end

    def log_refused(partition, offset)
      SafeLog.warn do
        { message: "Failed to Ack Offset, likely re-balance", offset: "#{partition}:#{offset}" }
      end
    end

    # Whether anyone may listen to attempts; asked once a tick.
    def attempts_wanted?
      Events.wanted?(:attempt)
    end

    # An attempt is over.
    def tell_attempt(row)
      message, partition, offset, failure, done, duration, queue_time = row
      tell(:attempt, message, partition, offset) do
        { attempt: failure ? failure.attempt : 1, outcome: done ? :done : :failed, duration: duration,
          queue_time: queue_time }
      end
    end

    # An event about a message; the block gives what else is known of it.
    def tell(event, message, partition, offset)
      events.publish(event) { { message: message, **place(partition), offset: offset, **yield } }
    end

    # An event about the whole, which is told once.
    def tell_life(event, &more)
      events.publish_once(event, &more)
    end

    # What its events are published with.
    attr_reader :events

    def log_repeated(partition, offset, last_acked, count)
      SafeLog.warn do
        { message: "Received Duplicate Offset", offset: "#{partition}:#{offset}", last_acked: last_acked, count: count }
      end
    end
  end
end
