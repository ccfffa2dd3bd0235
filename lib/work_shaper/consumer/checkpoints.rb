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
      # @param lookout [Lookout]
      # @param interval [Numeric] seconds between two commits
      def initialize(pool, client, assignment, lookout, interval)
        @pool = pool
        @client = client
        @assignment = assignment
        @lookout = lookout
        @interval = interval
        @rows = {}
        @sent = {}
        @looked_at = now
      end

      # Commits what is to be committed now. To be called in each turn of the poll loop.
      def commit_due
        return if @assignment.changing?
        return send_due if @due

        look if now - @looked_at >= @interval
      end

      private

      def look
        @looked_at = now
        before = @rows
        @rows = @pool.checkpoints(@assignment.partitions)
        due = @rows.select { |place, row| row.metadata && row != @sent[place] && row.offset == before[place]&.offset }
        @sent = @sent.slice(*@rows.keys)
        return if due.empty?

        @due = due
        @version = @assignment.version
        @lookout.hurry
      end

      # Not before the coordinator has answered something else. While a member joins, the broker reads nothing more of
      # what it sends; by then the commit would be out of date, for which librdkafka 2.8 gives up all partitions.
      def send_due
        return @due = nil unless @assignment.version == @version
        return unless @lookout.answered_at.to_f >= @looked_at

        @client.commit_later(@due)
        @sent = { **@sent, **@due }
        @due = nil
      end
    end

    private_constant :Checkpoints
  end
end
