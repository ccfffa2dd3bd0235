# frozen_string_literal: true

module WorkShaper
  # Runs messages: those of one sub key in the order in which they were enqueued, different sub keys in parallel; and
  # acknowledges the offsets of each partition in ascending order, each when it and all lower ones are finished.
  #
  # Most of it is native. Worker threads are started as needed, up to `concurrency`; they and the manager live until
  # {#shutdown}, so shut down every manager that you make.
  #
  # @example
  #   shaper = WorkShaper::Manager.new(
  #     work: ->(message, partition, offset) { Order.handle(message.payload) },
  #     ack: ->(partition, offset) { puts "#{partition}: #{offset} and all below are finished" }
  #   )
  #   shaper.enqueue(message.key, message, message.partition, message.offset)
  #   shaper.shutdown
  class Manager
    include Reports
    include CloserLook

    # @param work [#call(message, partition, offset)] does the work, in a worker thread
    # @param ack [#call(partition, offset)] is told that the offset and all below it are finished. If it returns false
    #   or an Exception, the offset counts as refused (a warning is logged, and the next one is tried in its turn); if
    #   it raises, nothing more is acknowledged and the manager shuts down
    # @param on_done [#call(message, partition, offset), nil] is called after work returned
    # @param on_error [#call(exception, message, partition, offset), nil] is told of every try that failed, and when
    #   on_done raised. It decides nothing; what it raises is logged. If left out, the error is logged
    # @param settings [Hash] see the options. What is not passed comes from the environment, then from the default
    # @option settings [Integer, String] :max_in_queue (25) messages waiting per sub key
    #   (`WORK_SHAPER_MAX_IN_QUEUE`, else `MAX_IN_QUEUE`, else `MAX_THREAD_QUEUE_SIZE`)
    # @option settings [Integer, String] :max_in_flight (10_000) messages that wait or run, in total; what is
    #   finished behind a slower one does not count (`WORK_SHAPER_MAX_IN_FLIGHT`)
    # @option settings [Integer, String] :concurrency (25) maximum number of worker threads (`WORK_SHAPER_CONCURRENCY`)
    # @option settings [Symbol, String] :acks (:every) `:every` offset in turn, or `:latest`: only the highest that
    #   is safe, once per tick (`WORK_SHAPER_ACKS`)
    # @option settings [Integer, String] :offset_commit_period_ms (5) the tick: milliseconds between two rounds of
    #   acknowledging (`WORK_SHAPER_OFFSET_COMMIT_PERIOD_MS`)
    # @option settings [Integer, String, nil] :heartbeat_period_sec (60) seconds between two reports in the log; 0
    #   or nil: none (`WORK_SHAPER_HEARTBEAT_PERIOD_SEC`)
    # @option settings [Integer, String, :unlimited] :attempts (1) how often the work of a message is tried in all
    #   (`WORK_SHAPER_ATTEMPTS`). What is tried again keeps its place: its sub key waits for it, others go on
    # @option settings [Range, Numeric, #call(attempt, error)] :wait (1..60) seconds before the next try: doubles from
    #   the first up to the last, is always the same, or what is returned (`WORK_SHAPER_WAIT`, "5" or "1..60")
    # @option settings [Numeric, String] :jitter (0.15) up to so much more, at random (`WORK_SHAPER_JITTER`)
    # @option settings [:skip, :stop, #call(failure)] :give_up (:skip) what becomes of a message whose attempts are used
    #   up: its offset is finished; the manager shuts down; or what the callable returns (anything else: it is done)
    # @option settings [Hash] :rules what to do about certain errors: class, module or proc to an action as for give_up,
    #   or to a Hash of attempts, wait, jitter and give_up. The first that matches counts
    # @option settings [Boolean, Hash] :breaker (true) whether to hold when most tries of several sub keys fail; or its
    #   `share`, `of` and `wait`
    # @option settings [Numeric, String, nil] :timeout (nil) seconds that one try may take; then {Timeout} is raised
    #   inside the work (`WORK_SHAPER_TIMEOUT`)
    # @option settings [Numeric, String, nil] :stuck_after (30) seconds after which a try is told of in the log
    #   (`WORK_SHAPER_STUCK_AFTER`)
    # @raise [TypeError] a callback does not answer call, or a setting is of the wrong type
    # @raise [ArgumentError] a callback cannot take its arguments, a setting is unknown or out of range
    # @raise [ThreadError] no thread could be started
    def initialize(work:, ack:, on_done: nil, on_error: nil, **settings)
      @events = publisher
      words = settings.slice(*RetryPolicy::WORDS)
      @policy = retry_policy(words)
      @time_limit = TimeLimit.new(@policy.timeout, method(:place_of)) if @policy.timeout
      @rails = rails_execution
      @failures = Recovery.new(self, @policy, told: skips_untold?(words), rails: @rails, on_error: telling(on_error))
      native = native_settings(settings.except(*words.keys))
      set_up(inside(limit_work(Callbacks.check(:work, work))), inside(optional(:on_done, on_done)),
             Callbacks.check(:ack, ack), @failures, native)
      ConnectionPools.check(native.fetch(:concurrency))
    end

    # Forgets a partition, to be called when Kafka takes it away: messages that wait are dropped, those that run finish,
    # and once this has returned, nothing of the partition that was enqueued before is ever acknowledged. When the
    # partition comes back, a sub key of which an old message still runs waits for that to finish.
    #
    # If an `ack` of that partition is under way on another thread, this waits for it: do not hold a lock that `ack`
    # needs.
    #
    # @param partition [Object] the partition, as it was enqueued; an unknown one is fine
    # @return [Array<Array(Object, Object, Object, Integer)>] what was dropped: sub key, message, partition and offset
    #   of each, in the order in which they were enqueued; each row is the argument list of its `enqueue`
    # @raise [ForkedProcess] the manager belongs to the parent process
    # @example
    #   shaper.revoke(3).size #=> 12
    def revoke(partition)
      forget(partition).sort_by!(&:first).map!(&:last)
    end

    # Waits until every message of a partition that was enqueued is over: worked on, failed, or dropped by {#revoke}.
    # Its offset may not be acknowledged yet.
    #
    # @param partition [Object] the partition, as it was enqueued; with an unknown one it returns true at once
    # @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
    # @return [Boolean] false: the timeout passed
    # @raise [ShuttingDown] the manager shut down by itself (see `stats[:fatal]`) before all was over; the cause is the
    #   exception, if it came out of the work of this very partition
    # @raise [Error] called inside a callback of the same manager
    # @raise [ForkedProcess] the manager belongs to the parent process
    # @raise [TypeError, ArgumentError] the timeout is not a number >= 0
    # @example
    #   shaper.await(3, timeout: 10)
    def await(partition, timeout: nil)
      over = at_rest(partition, timeout)
      raise_fatal(partition) if !over && fatal
      over
    end

    # Takes no new work, runs what is enqueued, acknowledges what is finished, and ends the manager's threads. Can be
    # called again, and from any thread, but not from inside a callback (see {#request_shutdown}).
    #
    # When the timeout passes, what is finished by then is acknowledged and winding down continues by itself; call again
    # to wait for it. In a forked child it does nothing and returns true, so that an `at_exit` block that shuts down may
    # be inherited.
    #
    # @param timeout [Numeric, nil] seconds to wait at most; nil: no limit
    # @return [Boolean] whether everything that was enqueued is finished and acknowledged, and no thread is left
    # @raise [Error] called inside a callback of the same manager
    # @raise [TypeError, ArgumentError] the timeout is not a number >= 0
    # @example
    #   shaper.shutdown(timeout: 25) or warn "unfinished: #{shaper.stats[:in_flight]}"
    def shutdown(timeout: nil)
      return true if forked?
      return false unless wind_down(timeout)

      ending.each { |thread| join(thread) }
      @time_limit&.close
      SafeLog.flush
      stats[:in_flight].zero?.tap { |done| tell_stopped(done) }
    end

    private

    # What its events are published with.
    def publisher
      Events::Publisher.new
    end

    # What callbacks on a worker run inside; nil: there is no Rails application. Code is not reloaded: who waits for
    # this manager may be inside the executor.
    def rails_execution
      RailsExecution.of_application
    end

    def inside(callback)
      @rails && callback ? @rails.inside(callback) : callback
    end

    def telling(on_error)
      on_error = optional(:on_error, on_error)
      @rails && on_error ? @rails.telling(on_error) : on_error
    end

    def optional(name, callback)
      callback.nil? ? nil : Callbacks.check(name, callback)
    end

    def retry_policy(words)
      RetryPolicy.new(words, defaults: { attempts: 1, give_up: :skip }, topics: false,
                             on_trouble: SafeLog.method(:trouble))
    end

    # Whether a message that is skipped needs no line of its own: nobody has said that it is to be.
    def skips_untold?(words)
      !words.key?(:give_up) && !words.key?(:rules)
    end

    def native_settings(settings)
      @settings = Settings.resolve(settings)
      @settings.merge(stuck_after_ms: ((@policy.stuck_after || 0) * 1000).ceil)
    end

    # Its settings in force, for those who look.
    def overview
      { **@settings, **@policy.overview }
    end

    def limit_work(work)
      limited(work)
    end

    # Work that is given no more than its time.
    def limited(work)
      limit = @time_limit
      limit ? ->(*arguments) { limit.run { work.call(*arguments) } } : work
    end

    # What {WorkShaper.current} returns.
    def current
      row = current_try
      Current.new(self, @time_limit, Try.new(*row)) if row
    end

    # The tries that run.
    def tries
      running_tries.map { |row| Try.new(*row) }
    end

    # Once, however often it is shut down.
    def tell_stopped(done)
      tell_life(:stopped) { { done: done } }
      Events.flush
    end

    def raise_fatal(partition)
      _, error, failed = fatal
      raise ShuttingDown, fatal_text, cause: (error if failed.equal?(partition))
    end

    # Joins a thread that is about to end; what it died of is reported elsewhere.
    def join(thread)
      thread.join
    rescue Exception # rubocop:disable Lint/RescueException
      raise unless thread.status.nil?
    end
  end
end
