# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A group that keeps a new member waiting, and the one line in the log that says so.
    #
    # With the classic protocol a member joins when all others have answered, or the session of those that died is over.
    # With KIP-848 the partitions of the dead are given to nobody until then, and their group.instance.id is refused:
    # that is fatal to librdkafka's client, so it takes another one to try again.
    #
    # @private
    class Waiting
      include Clock

      TOLD_AFTER = 5 # seconds without an assignment
      DEFAULT_SESSION = 45 # seconds, the broker's own when the config says nothing
      MARGIN = 5 # seconds beyond a session: brokers end it late
      RETRY_WAIT = 3 # seconds between two tries: each costs a fatal line of librdkafka's
      STILL_USED = :unreleased_instance_id

      # @param options [Options]
      # @param assignment [Assignment]
      def initialize(options, assignment)
        @options = options
        @assignment = assignment
      end

      # To be called when it has joined.
      def joined
        @began = now
      end

      # Writes the line, if it is time. To be called in each turn of the poll loop.
      def tell
        return if @told || now - @began < TOLD_AFTER

        @told = true
        return unless waits?

        SafeLog.info(message: "Waiting for the group to give partitions: it may wait for a member that died",
                     group: @options.config["group.id"], waited_sec: (now - @began).round)
      end

      # Whether the client is to be made anew: the group has not noticed yet that its predecessor is gone.
      #
      # @param error [Rdkafka::RdkafkaError] what ended the client
      # @param reason [Symbol, nil] the name of a fatal error
      def again?(error, reason)
        return false unless error.code == :fatal && reason == STILL_USED && waits?

        now < (@deadline ||= begin_again)
      end

      private

      def waits?
        @assignment.version.zero?
      end

      def begin_again
        @told = true
        limit = session + MARGIN
        SafeLog.warn(message: "Waiting for the last session of this instance to end", limit_sec: limit,
                     instance: @options.config["group.instance.id"])
        now + limit
      end

      def session
        milliseconds = Integer(@options.config.fetch("session.timeout.ms", ""), exception: false)
        milliseconds ? milliseconds / 1000.0 : DEFAULT_SESSION
      end
    end

    private_constant :Waiting
  end
end
