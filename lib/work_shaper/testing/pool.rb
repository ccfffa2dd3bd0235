# frozen_string_literal: true

module WorkShaper
  module Testing
    # The consumer's process, from its start to its end: what {Consumer::Pool} does with threads, on the thread that
    # asks for it. What becomes of a failure is up to the same {Recovery}.
    #
    # @private
    class Pool
      HANDLING = Consumer.const_get(:Handling)
      private_constant :HANDLING
      include HANDLING

      # How often a message is tried, or given up, until that is an error: with unlimited attempts it might never end.
      MOST_TRIES = 1000

      # A breaker that has events to tell tells them to nobody.
      NO_EVENTS = Class.new { def publish(_event); end }.new.freeze
      private_constant :NO_EVENTS

      # @return [String] what a message's partition is called
      def self.name_of(message)
        "#{message.topic}/#{message.partition}"
      end

      # @return [Exception, nil] what it ended with
      attr_reader :fatal

      # @param subject [Subject]
      # @param intake [Intake]
      # @param record [Record]
      # @param clock [Clock]
      # @param random [Random]
      def initialize(subject, intake, record, clock, random)
        @subject = subject
        @intake = intake
        @record = record
        @clock = clock
        @trackers = {}
        @sub_key_errors = {}.compare_by_identity
        @schedule = Schedule.new(subject, intake, clock, random) { |message| feed(message) }
        take_callbacks(policy: subject.policy(random), **subject.callbacks)
      end

      # Works on the next message.
      #
      # @return [SubKey::Item, nil] nil: nothing is left
      def step
        stop if @subject.stop_asked?
        @item = take or return
        @item.tries += 1
        working { carry_out(@item, verdict) }
        stop if @fatal || @subject.stop_asked?
        @item
      ensure
        @item = nil
      end

      # Whether the work of a message runs.
      def working?
        !@item.nil?
      end

      # Whether it takes no more messages, and ends.
      def shutting_down?
        @stopping == true
      end

      # Takes no more messages; what waits is dropped as in production (decision 020).
      def stop
        return if @stopping

        @stopping = true
        @intake.close
        @schedule.recall(newer: true)
        @schedule.drop_resting
        @schedule.drop { |item| item.offset > @trackers[item.partition].highest_finished } unless @subject.drain?
        @schedule.drop { true } if @schedule.held?
      end

      # Nothing that still runs has an effect.
      def die
        @dead = true
      end

      # @return [Hash{String => Array(Integer, Array<Integer>)}] what may be committed: see {Tracker#checkpoint}
      def checkpoints
        @trackers.transform_values(&:checkpoint).compact
      end

      # A partition goes: what waits of it is dropped, and work that calls this has no effect any more.
      def revoke(name)
        @schedule.recall
        @schedule.drop { |item| item.partition == name }
        @item.revoked = true if @item&.partition == name
        @trackers.delete(name)
        @intake.forget(name)
      end

      private

      def take_callbacks(policy:, sub_key:, block:, around:, sending:, on_error:)
        @sub_key = sub_key || :key.to_proc
        @time_limit = TimeLimit.new(policy.timeout, @clock) if policy.timeout
        @handler = handler(block, around)
        rails = take_rails(on_error)
        @recovery = Recovery.new(self, policy, on_error: @on_error, rails: rails, told: false)
        go_by(@clock)
        @recovery.around = around
        @recovery.on_over = @sub_key_errors.method(:delete)
        @recovery.dead_letters = DeadLetters.new(@record, @clock, **sending) { |*answer| @recovery.sent(*answer) }
      end

      # What callbacks run inside.
      def take_rails(on_error)
        rails = RailsExecution.of_application(group: @subject.group)
        work = ->(message, _partition, _offset) { work_on(message) }
        @work = rails ? rails.inside(work) : work
        @on_error = rails && on_error ? rails.telling(on_error) : on_error
        rails
      end

      # How long the breaker was open is what the log says.
      def go_by(clock)
        @recovery.instance_variable_get(:@breaker)&.define_singleton_method(:now) { clock.now.to_f }
      end

      def limited(work)
        limit = @time_limit
        limit ? ->(*arguments) { limit.run { work.call(*arguments) } } : work
      end

      # A message came in.
      def feed(message)
        name = Pool.name_of(message)
        tracker = @trackers[name] ||= Tracker.new
        return tracker.receive_finished(message.offset) if @intake.finished?(message)

        offer(message, name)
        tracker.receive(message.offset)
      end

      # Without a sub key it is its own; what the sub key raises, its work raises.
      def offer(message, name)
        key = @sub_key.call(message)
        @schedule.offer(key.nil? ? message : key, message, name)
      rescue Foreign, *Guard::FATAL
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException
        @sub_key_errors[message] = e
        @schedule.offer(message, message, name)
      end

      # Work of ours runs, and WorkShaper.current can be asked.
      def working
        before = Thread.current.thread_variable_get(Census::MANAGER)
        Thread.current.thread_variable_set(Census::MANAGER, self)
        yield
      ensure
        Thread.current.thread_variable_set(Census::MANAGER, before)
      end

      # A sub key may raise what is meant for the process.
      def take
        @schedule.next
      rescue *Guard::FATAL => e
        @fatal ||= e
        @schedule.recall
        @schedule.drop { true }
        stop
        nil
      end

      # What becomes of the message, as in a manager: true, seconds, nil or an exception.
      def verdict
        return @recovery.give_up(@item.failure) if @item.giving_up?

        @item.work = @record.try(@item)
        error = error_of(@item)
        case error
        when nil then done
        when *Guard::FATAL then raise error
        else judge(error)
        end
      rescue Foreign
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise if @left

        @fatal ||= e
      end

      def done
        @record.ended(@item.work, :done)
        true
      end

      def judge(error)
        @item.failure ||= Failure.new(@item, @clock)
        @recovery.work_failed(@item.failure, error, @item.message, @item.partition, @item.offset)
      end

      # What the work raises, or nil.
      def error_of(item)
        @left = true
        @work.call(item.message, item.partition, item.offset)
        @left = nil
      rescue Exception => e # rubocop:disable Lint/RescueException
        @left = nil
        Foreign === e ? raise : e
      ensure
        refuse_to_leave if @left && Thread.current.status != "aborting"
      end

      # A `return` would end the test, and let it pass.
      def refuse_to_leave
        raise Error, "the work of #{@item.message.id} was left by throw, break or return; in production it has a " \
                     "thread of its own, where nothing catches that"
      end

      def carry_out(item, verdict)
        return if @dead
        return finish(item) if item.revoked && !verdict.nil?

        case verdict
        when true then finish(item)
        when nil then carry_out(item, item.failure.answer)
        when Numeric then try_again(item, verdict)
        else
          @record.ended(item.work, :stopped, error: item.work.error || verdict)
          @fatal ||= verdict
          @schedule.abandon(item)
        end
      end

      def finish(item)
        @trackers[item.partition].finish(item.offset) unless item.revoked
        @record.ended(item.work, :dropped) if item.work.outcome == :retried
        @schedule.finish(item)
        @recovery.work_succeeded if @schedule.held? && item.work.outcome == :done
      end

      def try_again(item, seconds)
        raise endless(item) if item.tries >= MOST_TRIES

        @schedule.retry(item, seconds)
        return unless @stopping

        @record.ended(item.work, :dropped)
        @schedule.drop { |other| other.sub_key.equal?(item.sub_key) }
      end

      def endless(item)
        error = item.failure.error
        text = "#{item.message.id} was tried #{MOST_TRIES} times, and is to be tried again (seed #{@record.seed}): "
        Guard.exception(Error, "#{text}#{SafeLog.describe(error)}", error)
      end

      # What {Recovery} and {Current} ask of a manager

      def events
        NO_EVENTS
      end

      def tell(event, *)
        @record.tell(@item.work, event, yield)
      end

      def resume(failure, verdict)
        failure.answer = verdict
      end

      def hold(seconds)
        @schedule.hold(seconds)
      end

      def unhold
        @schedule.unhold
      end

      def total_tries
        @schedule.total_tries
      end

      def current
        return unless @item

        Current.new(self, @time_limit, Try.new(Thread.current, @item.sub_key.key, @item.message, @item.partition,
                                               @item.offset, 0.0, @item.failure))
      end
    end
  end
end
