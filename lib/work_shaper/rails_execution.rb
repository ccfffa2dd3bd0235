# frozen_string_literal: true

module WorkShaper
  # How callbacks run in a Rails application: as its requests and jobs do, inside its executor, which takes care of
  # database connections, of what is kept per thread, and of code that changes. What fails is reported to Rails.error
  # once, with the place of its message, which is also a tag of the lines that are logged meanwhile.
  #
  # @private
  class RailsExecution
    SOURCE = "work_shaper"
    PLACE = %i[topic partition offset].freeze

    class << self
      # @param group [String, nil] the consumer group, for reports
      # @param reload [Boolean] whether changed code is loaded first, in development; only for work that nobody waits
      #   for who is inside the executor himself
      # @return [RailsExecution, nil] nil: there is no Rails application
      def of_application(group: nil, reload: false)
        new(application, group, reload) if application
      end

      # For a thread that will wait for work. When it is inside the executor, as `rails runner` is, nothing could be
      # reloaded before it has left: it no longer keeps the code that is loaded from being unloaded. (It does not claim
      # that back, for which it would have to wait while code is to be reloaded and old work still runs.)
      def let_reload
        return unless application && !application.config.cache_classes && application.executor.active?

        ::ActiveSupport::Dependencies.interlock.done_running
      end

      private

      def application
        ::Rails.application if defined?(::Rails) && ::Rails.respond_to?(:application)
      end
    end

    def initialize(application, group, reload)
      executor = application.executor
      @wrapper = reload ? application.reloader : executor # which has the executor around it
      @group = group
      takes_source = executor.method(:wrap).parameters.any? { |_, name| name == :source } # from Rails 7.1 on
      @options = takes_source ? { source: SOURCE } : {}
    end

    # @param callback [#call(message, partition, offset)]
    # @return [Proc] the same, inside
    def inside(callback)
      lambda do |message, partition, offset|
        tagged(message, partition, offset) do
          wrap(message, partition, offset) { callback.call(message, partition, offset) }
        end
      end
    end

    # @param on_error [#call(error, message, partition, offset)]
    # @return [Proc] the same, inside; or outside, where Rails' own hooks fail: who counts failures must hear of each
    def telling(on_error)
      lambda do |error, message, partition, offset|
        told = false
        wrap(message, partition, offset) do
          told = true
          on_error.call(error, message, partition, offset)
        end
      rescue StandardError
        raise if told

        on_error.call(error, message, partition, offset)
      end
    end

    # Runs a block inside the executor. That reports what passes through it: from Rails 7.1 on any exception, and a
    # second report of one is dropped; before, a StandardError. We report the rest, and what its hooks raise.
    def wrap(message, partition, offset)
      context = unless_it_raises { context(message, partition, offset) } || {}
      passed = nil
      @wrapper.wrap(**@options) do
        errors&.set_context(**context)
        yield
      rescue Exception => e # rubocop:disable Lint/RescueException -- it is raised on
        passed = e
        report(e, context) unless StandardError === e
        raise
      end
    rescue Exception => e # rubocop:disable Lint/RescueException -- it is raised on
      report(e, context) unless e.equal?(passed)
      raise
    end

    # Runs a block whose lines in the log have the place of a message as a tag: "[orders/0:17] ...".
    def tagged(message, partition, offset)
      loggers = unless_it_raises { push(tag_of(message, partition, offset)) }
      yield
    ensure
      unless_it_raises { loggers&.each(&:pop_tags) }
    end

    private

    # Before Rails 7.0 there is none.
    def errors
      ::Rails.error if ::Rails.respond_to?(:error)
    end

    def report(error, context)
      return if Guard::FATAL.any? { |kind| kind === error } # rubocop:disable Style/CaseEquality

      errors&.report(error, handled: false, context: context, **@options)
    end

    # Neither its key nor its payload, which are nobody's business.
    def context(message, partition, offset)
      { **place(message, partition, offset), attempt: WorkShaper.current&.attempt, group: @group }.compact
    end

    # A message of Kafka knows its own. (It may be in a batch, which has others.) A partition of other things may be any
    # object; a batch, say, which has all messages.
    def place(message, partition, offset)
      known = Message === message || (Object === message && PLACE.all? { |name| message.respond_to?(name) })
      return PLACE.to_h { |name| [name, message.public_send(name)] } if known

      partition = partition.to_s unless [String, Symbol, Numeric].any? { |kind| kind === partition } # rubocop:disable Style/CaseEquality
      { partition: partition, offset: offset }
    end

    def tag_of(message, partition, offset)
      *path, number = place(message, partition, offset).values
      "#{path.join("/")}:#{number}"
    end

    # The application's lines and ours may go to two of them.
    def push(tag)
      loggers = [WorkShaper.logger, ::Rails.logger].uniq(&:object_id)
      loggers.select! { |logger| logger.respond_to?(:push_tags) && logger.respond_to?(:pop_tags) }
      loggers.each { |logger| logger.push_tags(tag) }
    end

    # No work fails for what is told of it.
    def unless_it_raises(&block)
      Guard.run(->(_) {}, &block)
    end
  end

  private_constant :RailsExecution
end
