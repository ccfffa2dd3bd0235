# frozen_string_literal: true

module WorkShaper
  class Stream
    # What comes out for an input whose work failed. A pool asks it, in the worker that has the input.
    #
    # Its verdicts: a number of seconds (it is tried again after them), or what its place holds: `[:value, object]`,
    # `[:error, exception]`, `[:collect, exception]`, `[:skip]`.
    #
    # @private
    class Outcomes
      # @param policy [RetryPolicy]
      # @param on_error [#call(error, input), nil] is told of every failed try
      # @param publish [#call(event, input, nil, index) { Hash }] publishes an event
      def initialize(policy, on_error, publish)
        @policy = policy
        @on_error = on_error
        @publish = publish
      end

      # Called by the pool: the work of an input raised.
      def work_failed(failure, error, input, _partition, index)
        failure.failed(error, input, nil, index)
        tell(failure, input, :failure, error: error)
        call_on_error(error, input)
        return [:error, Outcomes.presentable(error)] if Guard::FATAL.any? { |kind| kind === error } # rubocop:disable Style/CaseEquality

        decision = @policy.decide(error, failure.attempts)
        if decision.seconds
          tell(failure, input, :retry, wait: decision.seconds)
          failure.judged!
          decision.seconds
        else
          tell(failure, input, :give_up, error: error, action: decision.give_up)
          outcome(decision.give_up, error, input)
        end
      end

      # What ends a loop or the process must not do so where it is only the error of an input, or of a source.
      def self.presentable(error)
        case error
        when StopIteration, SystemExit, SignalException
          Guard.exception(Error, "#{SafeLog.describe(error)} was raised inside", error)
        else error
        end
      end

      private

      def outcome(action, error, input)
        case action
        when :skip then [:skip]
        when :collect then [:collect, error]
        when :raise then [:error, Outcomes.presentable(error)]
        else replacement(action, error, input)
        end
      end

      def replacement(callable, error, input)
        [:value, callable.call(error, input)]
      rescue Exception => e # rubocop:disable Lint/RescueException -- it stands at the input's place, as the work's would
        [:error, Outcomes.presentable(caused(e, error))]
      end

      # Ruby gives an exception its cause only where it is raised.
      def caused(exception, cause)
        raise exception, cause: exception.cause || cause
      rescue Exception => e # rubocop:disable Lint/RescueException
        e
      end

      def tell(failure, input, event, **more)
        @publish.call(event, input, nil, failure.offset) { { attempt: failure.attempt, **more } }
      end

      def call_on_error(error, input)
        return unless @on_error

        Guard.run(->(raised) { SafeLog.trouble("Error in on_error", raised) }) { @on_error.call(error, input) }
      end
    end

    private_constant :Outcomes
  end
end
