# frozen_string_literal: true

require_relative "clock"
require_relative "guard"
require_relative "safe_log"
require_relative "events/event_queue"
require_relative "events/publisher"

# What happens, for whoever subscribes to it.
module WorkShaper
  class << self
    # Where events go. If none was set: ActiveSupport::Notifications, once that is loaded; else nil.
    #
    # @return [#instrument, nil]
    # @example
    #   WorkShaper.instrumenter #=> ActiveSupport::Notifications
    def instrumenter
      defined?(@instrumenter) ? @instrumenter : Events.notifications
    end

    # Sets where all events go from now on. Its `instrument` is called by a thread of our own, after the fact, with the
    # name of an event ("attempt.work_shaper"), what is known of it, and an empty block.
    #
    # @param instrumenter [#instrument(name, payload), nil] nil: nowhere, even if ActiveSupport is loaded
    # @raise [TypeError] it does not answer instrument
    # @example
    #   WorkShaper.instrumenter = Dry::Monitor::Notifications.new(:orders)
    def instrumenter=(instrumenter)
      unless instrumenter.nil? || instrumenter.respond_to?(:instrument)
        raise TypeError, "instrumenter is #{instrumenter.inspect}; it must answer instrument(name, payload) { }"
      end

      @instrumenter = instrumenter
    end
  end

  # Events: what managers, consumers and streams tell those who subscribe. They are handed over by one thread, so that
  # nobody who works, polls or acknowledges ever waits for a subscriber.
  #
  # @private
  module Events
    NAMES = %i[
      attempt failure retry give_up dead_letter breaker stuck assigned revoked paused resumed committed commit_refused
      kafka_away kafka_back started stopping stopped
    ].to_h { |event| [event, "#{event}.work_shaper"] }.freeze
    TOLD_AGAIN = 60 # seconds between two lines in the log about subscribers that raise
    NOTHING = { Object => :never }.freeze # that is aimed at the thread

    @told = {}

    class << self
      # @return [Module, nil] ActiveSupport's bus, if it is loaded: nobody can have subscribed to it before
      def notifications
        return unless defined?(::ActiveSupport) && !::ActiveSupport.autoload?(:Notifications)

        ::ActiveSupport::Notifications if defined?(::ActiveSupport::Notifications)
      end

      # Whether anyone may listen. Only ActiveSupport is asked that: others are not called by who must go on.
      #
      # @param event [Symbol]
      def wanted?(event)
        instrumenter = WorkShaper.instrumenter
        return false if instrumenter.nil?

        !instrumenter.equal?(notifications) || listening?(instrumenter, event)
      end

      # Hands an event over, if anyone may listen. Never waits.
      #
      # @param event [Symbol]
      # @yieldreturn [Hash{Symbol => Object}] what is known of it
      def publish(event)
        queue.push(NAMES.fetch(event), yield) if wanted?(event)
        nil
      end

      # @return [Integer] how many were dropped, as subscribers did not take them in time
      def dropped
        queue.dropped
      end

      # Waits, not for long, until all are handed over.
      def flush
        queue.flush
      end

      private

      # An error of ActiveSupport's keeps nobody from going on. What is aimed at the thread meanwhile, a kill or a
      # Timeout, comes through when the answer is there: it must not be taken for one.
      def listening?(notifications, event)
        Thread.handle_interrupt(NOTHING) do
          notifications.notifier.listening?(NAMES.fetch(event))
        rescue StandardError
          false
        end
      end

      def queue
        @queue = new_queue if @queue.forked?
        @queue
      end

      def new_queue
        EventQueue.new { |name, payload| deliver(name, payload) }
      end

      def deliver(name, payload)
        Guard.run(->(error) { log_error(name, error) }) { WorkShaper.instrumenter&.instrument(name, payload) { nil } }
      end

      def log_error(name, error)
        now = Clock.now
        return if @told[name] && now - @told[name] < TOLD_AGAIN

        @told[name] = now
        SafeLog.warn { { message: "Error in a subscriber", event: name, **SafeLog.details(error) } }
      end
    end

    @queue = new_queue
  end

  private_constant :Events
end
