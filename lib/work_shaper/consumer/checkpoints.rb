# frozen_string_literal: true

module WorkShaper
  class Consumer
    # Commits what is finished beyond a frontier that stands still. librdkafka's timer commits only what is stored
    # beyond what is committed, not the same offset with another text beside it.
    #
    # @private
    class Checkpoints
      include Clock

      # @param pool [Pool]
      # @param client [Client]
      # @param assignment [Assignment]
      # @param interval [Numeric] seconds between two commits
      def initialize(pool, client, assignment, interval)
        @pool = pool
        @client = client
        @assignment = assignment
        @interval = interval
        @rows = {}
        @sent = {}
        @looked_at = now
      end

      # Commits what is to be committed now. To be called in each turn of the poll loop.
      def commit_due
        return if now - @looked_at < @interval || @assignment.changing?

        @looked_at = now
        before = @rows
        @rows = @pool.checkpoints(@assignment.partitions)
        due = @rows.select { |place, row| row.metadata && row != @sent[place] && row.offset == before[place]&.offset }
        @sent = { **@sent.slice(*@rows.keys), **due }
        @client.commit_later(due) if due.any?
      end
    end

    private_constant :Checkpoints
  end
end
