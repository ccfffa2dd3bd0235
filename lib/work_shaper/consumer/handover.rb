# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Partitions that go in an orderly way: nothing more is taken of them, what waits is dropped, what runs may be
    # finished within a time, and all that is finished is committed before the next owner has them.
    #
    # @private
    class Handover
      include Clock

      COMMIT_TIME = 2000 # milliseconds for each answer of the broker's about the last commit

      # @return [Hash{String => Array(String, Integer)}] topic and partition by the manager's name for them
      attr_reader :partitions

      # @return [Integer] how many messages that waited were dropped
      attr_reader :dropped

      # @param partitions [Hash{String => Array(String, Integer)}] those that go
      # @param change [Rebalance::Change] is to be carried out afterwards
      # @param pool [Pool]
      # @param checkpoints [Checkpoints]
      # @param seconds [Numeric] for what runs
      def initialize(partitions, change, pool, checkpoints, seconds)
        @partitions = partitions
        @change = change
        @pool = pool
        @checkpoints = checkpoints
        @deadline = now + seconds
        @dropped = partitions.each_key.sum { |name| @pool.drop_waiting_of(name) }
      end

      # Whether there is nothing left to wait for.
      def over?
        now >= @deadline || @change.lost? || @partitions.each_key.sum { |name| @pool.running_of(name) }.zero?
      end

      # Whether all that is finished is committed; has it committed. To be called when it is over.
      def confirmed?
        return true if @partitions.empty?
        return false if @change.lost?

        @pool.flush
        @checkpoints.commit_last(@partitions, COMMIT_TIME)
      end
    end

    private_constant :Handover
  end
end
