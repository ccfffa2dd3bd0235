# frozen_string_literal: true

module WorkShaper
  class Consumer
    # What is committed of partitions: their frontiers, and what is finished beyond them. What is stored librdkafka's
    # timer commits; but only what is beyond what it takes for committed, not the same offset with another text beside
    # it. So while a frontier stands still, what is finished beyond it takes commits of our own. So does the frontier
    # when an older commit has come behind the last one, which librdkafka does not always see (decision 073).
    #
    # @private
    class Checkpoints
      include Clock

      # Seconds within which librdkafka has joined again, if it is to: it does so at once.
      REJOIN_TIME = 0.5

      # Seconds, at the least, for which a frontier has stood still when the broker should have it.
      STANDING_TIME = 1

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
        @standing_since = {}
        @sent = {}
        @looked_at = now
        @lock = Mutex.new # what is read of the pool is stored before anything newer is
        lookout.on_answer { |asked_at| send_due(asked_at) }
      end

      # Stores the checkpoint of a partition for the next commit. Called by the acknowledger.
      #
      # @param name [String]
      # @param place [Array(String, Integer)] its topic and partition
      # @return [Boolean] false: it is not ours any more
      def store(name, place)
        @lock.synchronize do
          row = @pool.checkpoint(name)
          row ? @client.store(*place, *row) : false
        end
      end

      # Commits partitions that are about to go, and waits until the broker says that it has that.
      #
      # @param milliseconds [Integer] for each answer
      # @return [Boolean] whether all of it is committed
      def commit_last(partitions, milliseconds)
        @lock.synchronize { @client.commit_last(@pool.checkpoints(partitions), milliseconds) }
      end

      # Looks whether there is something new beyond frontiers that stand still, which is to be committed. To be called
      # in each turn of the poll loop.
      def look_for_due
        look unless @due || rejoining?(now) || now - @looked_at < @interval
      end

      private

      def rejoining?(moment)
        @assignment.changing? || moment < @assignment.rejoined_at + REJOIN_TIME
      end

      def look
        @looked_at = renew
        @sent = @sent.slice(*@rows.keys)
        @due = still(@looked_at).any? { |place, row| row != @sent[place] }
        @lookout.hurry if @due
      end

      # Returns when the rows were read.
      def renew
        moment = now
        before = @rows
        since = @standing_since
        @rows = @pool.checkpoints(@assignment.partitions)
        @standing_since = @rows.to_h do |place, row|
          [place, row.offset == before[place]&.offset ? since.fetch(place, moment) : moment]
        end
        moment
      end

      # Those whose frontier has not moved since they were read before, with something finished beyond it.
      def still(moment)
        @rows.select { |place, row| row.metadata && @standing_since.fetch(place, moment) < moment }
      end

      # Those of which the broker has less than what it has confirmed.
      def overtaken(asked_at)
        latest = asked_at - [STANDING_TIME, 2 * @interval].max
        committed = @lookout.committed
        @rows.select do |place, row|
          behind = committed[place] # nil: there is none, or the partition is about to go
          behind && behind < row.offset &&
            @client.commits.offset_of(place).to_i >= row.offset && @standing_since.fetch(place, asked_at) <= latest
        end
      end

      # Only when the coordinator has just answered something else. While a member joins, the broker reads nothing more
      # of what it sends; by then the commit would be out of date, for which librdkafka 2.8 gives up all partitions. So
      # it is sent at once, by the thread that has the answer: each millisecond counts in which it may begin to join.
      # And not when it is about to (decision 074).
      def send_due(asked_at)
        return if rejoining?(asked_at)

        overtaken = overtaken(asked_at)
        return unless overtaken.any? || (@due && asked_at >= @looked_at)

        warn_of(overtaken) if overtaken.any?
        @lock.synchronize { commit_due(overtaken.keys) unless rejoining?(asked_at) }
      end

      def commit_due(overtaken)
        @due = false
        due = { **still(renew), **@rows.slice(*overtaken) }
        @client.commit_later(due) if due.any?
        @sent = { **@sent, **due }
      end

      def warn_of(overtaken)
        partitions = overtaken.to_h do |place, row|
          [Assignment.name_of(*place), { offset: row.offset, committed: @lookout.committed[place] }]
        end
        SafeLog.warn(message: "Committed offsets went back: they are committed again", partitions: partitions)
      end
    end

    private_constant :Checkpoints
  end
end
