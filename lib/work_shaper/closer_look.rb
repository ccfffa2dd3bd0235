# frozen_string_literal: true

module WorkShaper
  # What the page of {Web} shows of a manager beside its stats. It is made when somebody looks, and costs nothing
  # otherwise.
  #
  # @private
  module CloserLook
    FRAMES = 10 # of what a worker does
    BLOCKING = 5 # seconds after which a message that holds up its partition is worth a look
    MOST_HOLDUPS = 50
    HISTORY_PERIOD = 5 # seconds that a row of past rates is about

    private

    def closer_look
      history = { rates: rate_history(HISTORY_PERIOD) }
      { work: running, blocked: holdups, given_up: @failures.given_up, settings: overview, history: history }
    end

    # What each worker does: see {Consumer#running}.
    def running
      tries.map do |try|
        place(try.partition).merge(
          offset: try.offset, sub_key: shown_sub_key(try.sub_key), message: try.message, attempt: try.attempt,
          seconds: try.seconds.round(3), worker: try.thread.name, backtrace: frames(try.thread.backtrace)
        )
      end
    end

    # What holds up partitions, for those who look: each one's oldest unfinished message, if it has failed or is old,
    # with what is known of it. The oldest first, and not too many: an error's message may take its time.
    def holdups
      rows = partition_rows.map { |partition, *values| [partition, Reports.const_get(:PARTITION).zip(values).to_h] }
      rows.select! { |_, row| row[:oldest_attempt] || (row[:oldest_age_sec] || 0) >= BLOCKING }
      rows.max_by(MOST_HOLDUPS) { |_, row| row[:oldest_age_sec] }
          .map { |partition, row| holdup(partition, row, row[:oldest_attempt], row[:oldest_worker]) }
    end

    def holdup(partition, row, failure, thread)
      error = failure&.error
      place(partition).merge(
        offset: row[:oldest_unfinished], sub_key: shown_sub_key(row[:oldest_sub_key]), age_sec: row[:oldest_age_sec],
        attempt: failure ? failure.attempt : 1, worker: thread&.name, waiting: row[:waiting],
        finished_beyond: row[:finished_beyond], first_failed_at: failure&.first_failed_at,
        give_up: (RetryPolicy.name_of(failure.action) if failure&.action), refusals: failure&.refusals,
        error: error && SafeLog.describe(error), backtrace: frames(thread ? thread.backtrace : error&.backtrace)
      )
    end

    def frames(backtrace)
      backtrace&.first(FRAMES) || []
    end

    # A sub key as others may see it.
    def shown_sub_key(sub_key)
      sub_key
    end
  end

  private_constant :CloserLook
end
