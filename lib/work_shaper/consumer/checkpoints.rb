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
        @overtaken = []
        @looked_at = now
        @lock = Mutex.new # what is read of the pool is stored before anything newer is
        lookout.ask_by { |partitions, milliseconds| ask(partitions, milliseconds) }
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
        @due = unsent(@looked_at).any?
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

      # Those whose frontier has not moved since they were read before, with something new that is finished beyond it.
      def unsent(moment)
        @rows.select do |place, row|
          row.metadata && @standing_since.fetch(place, moment) < moment && row != @sent[place]
        end
      end

      # What the coordinator says is committed. What is due is committed behind its answer, and only there: while a
      # member joins, the broker reads nothing more of what it sends; by then the commit would be out of date, for which
      # librdkafka 2.8 gives up all partitions. Nor when it is about to join (decisions 074 and 076).
      def ask(partitions, milliseconds)
        asked_at = now
        due = prepare(asked_at)
        committed, sent = @client.queries.committed(partitions, milliseconds)
        @sent = { **@sent, **due } if sent
        note_overtaken(committed, asked_at, sent ? due : {})
        committed
      ensure
        @due = false # what was not sent is looked for again
      end

      # Returns what is committed if there is an answer.
      def prepare(moment)
        return {} unless @due || @overtaken.any?

        @lock.synchronize do
          return {} if rejoining?(moment)

          due = { **unsent(renew), **@rows.slice(*@overtaken) }
          @client.prepare_commit(due)
          @client.forget_commit if rejoining?(moment) # since then
          due
        end
      end

      # Those of which the broker has less than what it has confirmed are due, too.
      def note_overtaken(committed, asked_at, just_sent)
        overtaken = overtaken(committed, asked_at).except(*just_sent.keys)
        news = overtaken.except(*@overtaken)
        @overtaken = overtaken.keys
        return if news.empty?

        warn_of(news, committed)
        @lookout.hurry
      end

      # A nil in what is committed: there is none. Nothing there: the partition is about to go.
      def overtaken(committed, asked_at)
        latest = asked_at - [STANDING_TIME, 2 * @interval].max
        @rows.select do |place, row|
          behind = committed[place]
          behind && behind < row.offset &&
            @client.commits.offset_of(place).to_i >= row.offset && @standing_since.fetch(place, asked_at) <= latest
        end
      end

      def warn_of(overtaken, committed)
        partitions = overtaken.to_h do |place, row|
          [Assignment.name_of(*place), { offset: row.offset, committed: committed[place] }]
        end
        SafeLog.warn(message: "Committed offsets went back: they are committed again", partitions: partitions)
      end
    end

    private_constant :Checkpoints
  end
end
