# frozen_string_literal: true

module WorkShaper
  class Batches
    # The messages of one call of {Batches#process}: how far they are finished without a gap, and what failed. To the
    # manager it is a partition, and the index of a message its offset.
    class Batch
      # The error of the message that failed first, or nil.
      attr_reader :error

      def initialize(messages, sub_key, ack)
        @messages = messages
        @ack = ack
        @keys = sub_key ? messages.map { |message| sub_key.call(message) } : []
        @failed = {}
        @left_out = {}
        @gap = messages.size
        @reached = @told = -1
        @mutex = Mutex.new
      end

      # Yields the arguments with which each message is enqueued, in order.
      def each_entry
        @messages.each_with_index do |message, index|
          key = @keys[index]
          # No order is asked for: a sub key of its own.
          yield key.nil? ? Object.new : key, message, self, index
        end
      end

      # Does the work of a message, unless that is left out.
      def work_on(index)
        failed_before?(index) ? @left_out[index] = true : yield
      end

      # Whether its work was left out, since an earlier message of its sub key has failed.
      def left_out?(index)
        @left_out.key?(index)
      end

      # The work of a message raised. Logs it, unless process will raise it.
      def failed(error, index)
        error = as_standard_error(error) unless error.is_a?(StandardError)
        log(error, index) unless note(error, index)
      end

      # Everything up to this index is finished, or has failed. Called by the acknowledger, in its ticks.
      def reached(index)
        @reached = index
        true
      end

      # Everything is finished, or has failed.
      def finished
        @reached = @messages.size - 1
      end

      # Whether somebody wants to know how far it is.
      def tells?
        !@ack.nil?
      end

      # Calls ack with the last of the messages that are finished without a gap, if there are more than last time.
      def tell
        return unless @ack && frontier > @told

        @told = frontier
        @ack.call(@messages[@told])
      end

      # For the log and stats[:fatal], which say "partition ... offset ...".
      def inspect
        "(a batch of #{@messages.size})"
      end
      alias to_s inspect

      private

      # A framework that rescues only these would go on behind the batch.
      def as_standard_error(cause)
        Guard.exception(Error, "the work raised #{SafeLog.describe(cause)}", cause)
      end

      def frontier
        [@reached, @gap - 1].min
      end

      def failed_before?(index)
        !@failed.empty? && @failed.key?(comparable(@keys[index]))
      end

      # Returns whether it is the first one.
      def note(error, index)
        key = comparable(@keys[index])
        @mutex.synchronize do
          @failed[key] = true unless key.nil?
          @gap = [@gap, index].min
          @error ||= error
          @error.equal?(error)
        end
      end

      # As the manager compares sub keys: Strings are equal when their bytes are.
      def comparable(key)
        String === key ? key.b : key
      end

      def log(error, index)
        SafeLog.write(:error) do
          { message: "Error processing, besides the one that is raised", offset: "#{self}:#{index}",
            **SafeLog.details(error) }
        end
      end
    end

    private_constant :Batch
  end
end
