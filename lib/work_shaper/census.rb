# frozen_string_literal: true

module WorkShaper
  # What of WorkShaper is at work in this process: its threads know whom they work for.
  #
  # @private
  module Census
    # What a thread belongs to. (Thread variables, not Fiber-local ones.)
    MANAGER = :work_shaper_manager
    CONSUMER = :work_shaper_consumer
    KINDS = [Manager, Batches.const_get(:Pool)].freeze

    class << self
      # @return [Array<Consumer>] those that run
      def consumers
        found(CONSUMER)
      end

      # @return [Array<Manager>] those that are no part of a consumer or a stream
      def managers
        found(MANAGER).select { |manager| KINDS.any? { |kind| manager.instance_of?(kind) } }
      end

      private

      def found(variable)
        Thread.list.filter_map { |thread| thread.thread_variable_get(variable) }.uniq(&:__id__)
      end
    end
  end

  private_constant :Census
end
