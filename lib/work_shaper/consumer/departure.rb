# frozen_string_literal: true

module WorkShaper
  class Consumer
    # The way out of a group, once what runs is fenced: the last commit is confirmed, the partitions are given back, the
    # client is closed. librdkafka is polled until the last of these, for a rebalance may be on its way.
    #
    # Closing alone would give the partitions back, too. But when librdkafka calls the rebalance listener more than once
    # meanwhile (an assignment was on its way), it throws away what the later call asks it for, and run never ends.
    #
    # @private
    class Departure
      include Clock

      COMMIT_TIME = 5 # seconds for the confirmation of the last commit
      REBALANCE_TIME = 10 # the same while shutdown_timeout lasts and brokers answer: a rebalance may have to end before
      ANSWER_TIME = 2000 # milliseconds for each answer, during which nothing is polled
      REACH_TIME = 1000 # milliseconds for the answer of any broker
      PARTING_TIME = 5 # seconds until the partitions are gone and the group knows
      PATIENCE = 1 # seconds of that for brokers that may not answer
      RETRY_WAIT = 100 # milliseconds before the broker is asked again
      PARTING_WAIT = 20 # milliseconds without a message or a call: nothing more is on its way
      MANY = 1000 # messages, all there are: the news of a rebalance comes behind them

      # @param client [Client]
      # @param assignment [Assignment]
      # @param static [Boolean] whether the group keeps the partitions for this member until it is back
      def initialize(client, assignment, static:)
        @client = client
        @assignment = assignment
        @static = static
      end

      # Whether the rows are committed in time. In a rebalance the broker answers only when that is over.
      #
      # @param rows [Hash{Array(String, Integer) => OffsetList::Committed}]
      # @param lost [Hash{Array(String, Integer) => OffsetList::Committed}] of partitions that went
      # @param stop_limit [Numeric] until when the whole stop may last
      # @yieldreturn [Boolean] whether it must not wait any longer
      def confirmed?(rows, lost, stop_limit)
        patience = now + COMMIT_TIME
        limit = stop_limit.clamp(patience, now + REBALANCE_TIME)
        until @client.committed?(rows, answer_time(now < patience ? patience : limit), lost: lost)
          return false if yield || now >= limit
          return false if now >= patience && !@client.reachable?(REACH_TIME)

          poll(RETRY_WAIT)
        end
        true
      end

      # Gives the partitions back and closes the client. A static member keeps them: it would not if it unsubscribed.
      #
      # Others are out of the group before they close: a client that is closed while librdkafka still commits for
      # partitions that went never tells the group that it leaves (decision 83).
      def leave
        @client.unsubscribe unless @static
        began = now
        until poll(PARTING_WAIT) && (@static || out?)
          break if now - began >= PARTING_TIME || (now - began >= PATIENCE && !@client.reachable?(REACH_TIME))
        end
      ensure
        Client.shielded { @client.close }
        @assignment.proceed
      end

      private

      def out?
        @client.assigned.empty? && !@client.member?
      end

      def answer_time(limit)
        (1000 * (limit - now)).to_i.clamp(1, ANSWER_TIME)
      end

      # Lets librdkafka call us, and leaves what comes in to other consumers. Returns whether nothing came.
      def poll(milliseconds)
        messages = Client.shielded { @client.take(MANY, milliseconds) }
        @assignment.proceed
        while (failure = @client.failures.shift)
          SafeLog.warn(message: "Kafka", error: failure.error.message, topic: failure.topic)
        end
        messages.empty?
      end
    end

    private_constant :Departure
  end
end
