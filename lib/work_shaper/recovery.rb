# frozen_string_literal: true

module WorkShaper
  # What becomes of the messages whose work failed. A manager asks it, in the worker that has the message, and only when
  # something failed.
  #
  # Its verdicts: true (the message is finished), a number of seconds (it is tried again after them), nil (it is kept
  # until {#sent} tells), or an exception (the manager stops with it).
  #
  # @private
  class Recovery
    MOST_CLASSES = 100 # whose failures are counted apart
    OTHER = "other"
    MOST_GIVEN_UP = 20 # that are remembered
    # @param manager [Manager] holds while the breaker is open, and is told how a kept message goes on
    # @param policy [RetryPolicy]
    # @param on_error [#call, nil] is told of every failed try
    # @param told [Boolean] whether a message that is skipped needs no line in the log
    # @param rails [RailsExecution, nil] what callables run inside, around `around`
    def initialize(manager, policy, on_error:, told:, rails: nil)
      @manager = manager
      @policy = policy
      @on_error = on_error
      @told = told
      @rails = rails
      @breaker = policy.breaker && Breaker.new(**policy.breaker, holder: self, events: manager.__send__(:events))
      @lock = Mutex.new
      @totals = { total_retried: 0, total_skipped: 0, total_dead_lettered: 0 }
      @failures = Hash.new(0)
      @given_up = [].freeze
    end

    # How dead letters are sent (#deliver); what callables run inside (#call with a message and a block); what is called
    # with a message that failed and is over now.
    attr_writer :dead_letters, :around, :on_over

    # @return [Array<Hash{Symbol => Object}>] the messages that were given up last, the newest last: when (`at`), where
    #   they are, after how many `attempts`, for which `error` and to what (`action`: a topic or :skip)
    attr_reader :given_up

    # @return [Hash{Symbol => Object}] its part of the manager's stats
    def stats
      { **@totals, failures: @failures.dup, breaker: @breaker&.stats } # no lock: it may be asked in a trap handler
    end

    # Called by the manager: the work of a message raised. Returns the verdict.
    def work_failed(failure, error, message, partition, offset)
      tagged(message, partition, offset) { judge(failure, error, message, partition, offset) }
    end

    # Called by the manager: giving a message up failed, and its time has come again. Returns the verdict.
    def give_up(failure)
      tagged(failure.message, failure.partition, failure.offset) { carry_out(failure, failure.action) }
    end

    # Called by the manager: the work of some message succeeded although it holds.
    def work_succeeded
      @breaker&.succeeded
    end

    # Called by the manager: on_done raised. The work is done.
    def on_done_failed(error, message, partition, offset)
      count_failure(error)
      tagged(message, partition, offset) do
        call_on_error(error, message, partition, offset)
        log_error("Error in on_done", error, partition, offset)
      end
      publish(:failure, message, partition, offset, error: error, attempt: nil)
    end

    # A dead letter was confirmed by the broker (`error` nil), or could not be sent.
    def sent(failure, error)
      verdict = error ? 1 : true # should what follows be cut off: by a kill, or a logger
      verdict = error ? not_sent(failure, error) : dead_lettered(failure)
    ensure
      resume(failure, verdict)
    end

    # The breaker's way to the manager.
    def hold(seconds)
      @manager.__send__(:hold, seconds)
    end

    def unhold
      @manager.__send__(:unhold)
    end

    private

    def tagged(message, partition, offset, &block)
      @rails ? @rails.tagged(message, partition, offset, &block) : yield
    end

    def judge(failure, error, message, partition, offset)
      count_failure(error)
      excused = @breaker&.open?
      failure.failed(error, message, partition, offset)
      decision = @policy.decide(error, failure.attempts - (excused ? 1 : 0))
      tell(failure, decision.seconds)
      decision.seconds ? retry_later(failure, decision.seconds, excused) : give_up_to(failure, decision.give_up)
    end

    def resume(failure, verdict)
      @manager.__send__(:resume, failure, verdict)
    rescue ForkedProcess
      nil # it is the parent's
    end

    def publish(event, message, partition, offset, **more)
      @manager.__send__(:tell, event, message, partition, offset) { more }
    end

    def publish_about(event, failure, **more)
      publish(event, failure.message, failure.partition, failure.offset,
              error: failure.error, attempt: failure.attempt, **more)
    end

    def count(total)
      @lock.synchronize { @totals[total] += 1 }
    end

    def count_failure(error)
      kind = Kernel.instance_method(:class).bind_call(error).to_s
      @lock.synchronize do
        kind = OTHER unless @failures.key?(kind) || @failures.size < MOST_CLASSES
        @failures = @failures.merge(kind => @failures[kind] + 1) # replaced, since it is read without a lock
      end
    end

    # Telling

    def tell(failure, seconds)
      publish_about(:failure, failure)
      if @on_error
        call_on_error(failure.error, failure.message, failure.partition, failure.offset)
      else
        log_error("Error processing", failure.error, failure.partition, failure.offset,
                  attempt: failure.attempts, retry_in_sec: seconds&.round(3))
      end
    end

    # What on_error raises is told beside the first error, never instead of it.
    def call_on_error(error, message, partition, offset)
      return unless @on_error

      raised = lambda do |second|
        log_error("Error in on_error", second, partition, offset, first_error: SafeLog.describe(error))
      end
      Guard.run(raised) { @on_error.call(error, message, partition, offset) }
    end

    def log_error(text, error, partition, offset, **more)
      SafeLog.write(:error) { { message: text, offset: "#{partition}:#{offset}", **more, **SafeLog.details(error) } }
    end

    def retry_later(failure, seconds, excused)
      count(:total_retried)
      publish(:retry, failure.message, failure.partition, failure.offset, attempt: failure.attempt, wait: seconds)
      failure.tell_message
      failure.give_back_attempt if excused
      @breaker&.failed(@manager.__send__(:total_tries) + 1, failure, excused)
      failure.judged!
      seconds
    end

    # Giving up

    def give_up_to(failure, action)
      failure.action = action
      tell_given_up(failure, action) unless action.respond_to?(:call)
      carry_out(failure, action)
    end

    def tell_given_up(failure, action)
      publish_about(:give_up, failure, action: action)
    end

    def carry_out(failure, action)
      case action
      when :done then over(failure)
      when :skip then skip(failure)
      when :stop then gave_up(failure)
      when String then send_away(failure, action)
      else Guard.run(->(error) { not_sent(failure, error) }) { carry_out(failure, answer(failure, action)) }
      end
    end

    def answer(failure, callable)
      ask(failure, callable).tap { |action| tell_given_up(failure, action) }
    end

    # What a callable returned. It runs inside whatever the work runs in.
    def ask(failure, callable)
      answer = nil
      give_up = -> { answer = [callable.call(failure)] }
      inside(failure) { @around ? @around.call(failure.message) { give_up.call } : give_up.call }
      raise Error, "around did not call the block" unless answer

      @policy.action(answer.first)
    end

    def inside(failure, &block)
      @rails ? @rails.wrap(failure.message, failure.partition, failure.offset, &block) : yield
    end

    def skip(failure)
      count(:total_skipped)
      remember(failure, :skip)
      log_skipped(failure) unless @told
      over(failure)
    end

    # Nothing of it that may be large: its partition is the name of that, and of its error there is the class.
    def remember(failure, action)
      partition = Guard.run(->(_) { "?" }) { SafeLog.cut(failure.partition) }
      row = { at: Time.now, partition: partition, offset: failure.offset, attempts: failure.attempts,
              error: Kernel.instance_method(:class).bind_call(failure.error).to_s, action: action }.freeze
      @lock.synchronize { @given_up = [*@given_up, row].last(MOST_GIVEN_UP).freeze }
    end

    def log_skipped(failure)
      SafeLog.write(:error) { { message: "Skipped", **about(failure), **SafeLog.details(failure.error) } }
    end

    def over(failure)
      @on_over&.call(failure.message)
      true
    end

    # The answer comes to {#sent}. A callable is not asked again when that is no.
    def send_away(failure, topic)
      failure.action = topic
      failure.give_up!
      Guard.run(->(error) { not_sent(failure, error) }) { @dead_letters.deliver(failure, topic) }
    end

    def dead_lettered(failure)
      count(:total_dead_lettered)
      remember(failure, failure.action)
      SafeLog.write(:warn) { { message: "Dead-lettered", topic: failure.action, **about(failure) } }
      publish_about(:dead_letter, failure, dead_letter_topic: failure.action)
      over(failure)
    end

    def about(failure)
      { offset: "#{failure.partition}:#{failure.offset}", attempts: failure.attempts,
        error: SafeLog.describe(failure.error) }
    end

    # Giving the message up failed: that alone is tried again, for ever.
    def not_sent(failure, error)
      return gave_up(failure, " (#{SafeLog.describe(error)})") if error.is_a?(TooLarge)

      failure.give_up!
      refusals = failure.refused
      seconds = @policy.wait_after(refusals, error)
      log_refusal(failure, error, refusals, seconds) if refusals.nobits?(refusals - 1)
      seconds
    end

    # At 1, 2, 4, 8 ... tries.
    def log_refusal(failure, error, refusals, seconds)
      topic = failure.action if String === failure.action
      SafeLog.write(:warn) do
        { message: "Could not give up", topic: topic, offset: "#{failure.partition}:#{failure.offset}", tries: refusals,
          retry_in_sec: seconds.round(3), first_error: SafeLog.describe(failure.error),
          **(topic ? { error: SafeLog.describe(error) } : SafeLog.details(error)) }
      end
    end

    # The exception that the manager stops with.
    def gave_up(failure, besides = "")
      attempts = "#{failure.attempts} attempt#{"s" unless failure.attempts == 1}"
      text = "gave up #{failure.partition} offset #{failure.offset} after #{attempts}: " \
             "#{SafeLog.describe(failure.error)}#{besides}"
      Guard.exception(GaveUp, text, failure.error)
    end
  end

  private_constant :Recovery
end
