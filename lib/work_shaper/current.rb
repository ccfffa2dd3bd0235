# frozen_string_literal: true

require_relative "try"

# Where work can ask what it is.
module WorkShaper
  # The try that runs on the current thread: what {WorkShaper.current} returns.
  class Current
    def initialize(manager, time_limit, try)
      @manager = manager
      @time_limit = time_limit
      @try = try
    end

    # @return [Object] the sub key; with a Consumer, of a message without one the message
    def sub_key
      @try.sub_key
    end

    # @return [Object] the partition, as it was enqueued; with a Consumer "topic/partition"
    def partition
      @try.partition
    end

    # @return [Integer] the offset
    def offset
      @try.offset
    end

    # @return [Integer] which attempt this is, 1 for the first
    def attempt
      @try.attempt
    end

    # @return [Float, nil] seconds left of `timeout`; nil: there is none
    # @example
    #   http.read_timeout = WorkShaper.current.remaining || 60
    def remaining
      @time_limit&.remaining
    end

    # @return [Boolean] whether the manager or consumer was asked to stop: long work may cut itself short
    # @example
    #   raise "the rest next time" if WorkShaper.current.stopping?
    def stopping?
      @manager.shutting_down?
    end

    # Not the sub key, which is often a customer's id.
    #
    # @return [String]
    def inspect
      "#<#{self.class} #{partition} offset #{offset}, attempt #{attempt}>"
    end
  end

  class << self
    # The try that runs on this thread, also in Fibers that the work made.
    #
    # @return [Current, nil] nil: no work of a manager or consumer runs here
    # @example
    #   logger.info("attempt #{WorkShaper.current.attempt}")
    def current
      Thread.current.thread_variable_get(Census::MANAGER)&.__send__(:current)
    end
  end
end
