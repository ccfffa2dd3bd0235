# frozen_string_literal: true

module WorkShaper
  # What of WorkShaper is at work in this process: its threads know whom they work for.
  #
  # @private
  module Census
    # What a thread belongs to. (Thread variables, not Fiber-local ones.)
    MANAGER = :work_shaper_manager
    CONSUMER = :work_shaper_consumer
    MOST_FAILED = 100
    KINDS = [Manager, Batches.const_get(:Pool)].freeze

    @failed = []
    @lock = Mutex.new

    class << self
      # @return [Array<Consumer>] those that have ended with an error, and that no other one of their group has replaced
      def failed
        @pid == Process.pid ? @failed : []
      end

      # @return [Array<Consumer>] those that are made while the block runs. None of them can run meanwhile
      def gather
        @gathered = []
        yield
        @gathered
      ensure
        @gathered = nil
      end

      # A consumer has been made.
      def made(consumer)
        @lock.synchronize { @gathered&.push(consumer) }
      end

      def gathering?
        !@gathered.nil?
      end

      # A consumer begins to run.
      def begun(consumer)
        @lock.synchronize { @failed = @failed.reject { |failed| failed.group == consumer.group } }
      end

      # A consumer has ended with an error.
      def failed_with(consumer)
        @lock.synchronize do
          @failed = [*failed, consumer].last(MOST_FAILED)
          @pid = Process.pid # a forked child has its parent's
        end
      end

      # @return [Array<Consumer>] those that run
      def consumers
        found(CONSUMER)
      end

      # @return [Array<Manager>] those that are no part of a consumer or a stream
      def managers
        found(MANAGER).select { |manager| KINDS.any? { |kind| manager.instance_of?(kind) } }
      end

      # @return [Array<Stream::Pool>] the stages of streams
      def streams
        found(MANAGER).grep(Stream.const_get(:Pool))
      end

      private

      def found(variable)
        Thread.list.filter_map { |thread| thread.thread_variable_get(variable) }.uniq(&:__id__)
      end
    end
  end

  private_constant :Census
end
