# frozen_string_literal: true

require_relative "../clock"
require_relative "../safe_log"

module WorkShaper
  module Events
    # Hands events over, one after the other, on a thread of its own, which ends when there are none for a while.
    #
    # Nobody waits for it: when there are MOST, or the messages in them weigh MOST_BYTES, because a subscriber is slow
    # or hangs, what else comes is dropped and counted.
    #
    # @private
    class EventQueue
      include Clock

      NAME = "work_shaper events"
      MOST = 10_000
      MOST_BYTES = 16 * 1024 * 1024 # of Kafka messages: they are kept although their work is over
      IDLE = 0.2 # seconds without an event, after which the thread ends
      PATIENCE = 1 # second that flush waits
      TOLD_AGAIN = 60 # seconds between two lines about what was dropped

      # @return [Integer] how many events were dropped
      attr_reader :dropped

      # @yieldparam name [String]
      # @yieldparam payload [Hash]
      def initialize(&deliver)
        @deliver = deliver
        @pid = Process.pid
        @lock = Mutex.new
        @progress = ConditionVariable.new
        @events = []
        @bytes = @dropped = @told = 0
        @delivering = @late = false
      end

      # A forked child has its parent's events, which are not its own to hand over.
      def forked?
        @pid != Process.pid
      end

      # Takes an event, or drops it.
      def push(name, payload)
        bytes = weight(payload[:message])
        @lock.synchronize do
          next @dropped += 1 if @events.size >= MOST || (@bytes.positive? && @bytes + bytes > MOST_BYTES)

          @events << [name, payload, bytes]
          @bytes += bytes
          see_to_thread
          @progress.broadcast
        end
      rescue ThreadError
        @dropped += 1 # this is a trap handler
      end

      # Waits until all are handed over; not for longer than PATIENCE, and not at all if that was not long enough the
      # last time.
      def flush
        limit = now + PATIENCE
        @lock.synchronize do
          until @late || (@events.empty? && !@delivering)
            see_to_thread
            @progress.wait(@lock, limit - now)
            @late = now >= limit
          end
        end
        nil
      rescue ThreadError
        nil
      end

      private

      def weight(message)
        Message === message ? message.__send__(:weight) : 0
      end

      # One that somebody killed is replaced; not by a thread that dies itself: the process may be ending.
      def see_to_thread
        return if @thread&.alive? || Thread.current.status == "aborting"

        @delivering = false
        @thread = OwnThread.start(NAME) { hand_over }
      rescue ThreadError
        nil # the next event tries again
      end

      def hand_over
        while (event = following)
          tell_dropped
          @deliver.call(*event.first(2))
        end
      end

      # The next one; nil: there is none, and the thread is to end.
      def following
        @lock.synchronize do
          handed_over
          @progress.wait(@lock, IDLE) if @events.empty?
          next @thread = nil if @events.empty?

          @delivering = true
          @events.shift.tap { |event| @bytes -= event.last }
        end
      end

      def handed_over
        return unless @delivering

        @delivering = @late = false
        @progress.broadcast
      end

      def tell_dropped
        dropped = @dropped
        return if dropped == @told || (@told_at && now - @told_at < TOLD_AGAIN)

        SafeLog.warn(message: "Events were dropped: subscribers did not take them in time", dropped: dropped - @told)
        @told = dropped
        @told_at = now
      end
    end
  end
end
