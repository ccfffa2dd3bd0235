# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A manager whose feeder is the poll loop: it sees to the limits itself, and waits only as long as it says.
    #
    # @private
    class Pool < Manager
      include Feeding

      public :drop_waiting, :wind_down, :fatal

      # @param sub_key [#call(message), nil] nil: the message's key
      # @param handler [#call(message)] does the work of a message
      def initialize(sub_key:, handler:, **rest)
        @sub_key = sub_key
        @sub_key_errors = {}.compare_by_identity
        super(work: work_with(handler), **rest)
      end

      # Enqueues messages without a look at the limits. An error in finding a sub key is the message's: it is raised
      # where its work would be done.
      def feed(messages)
        super(messages, @sub_key, @sub_key_errors)
      end

      def revoke(partition)
        super.each { |_sub_key, message, *| @sub_key_errors.delete(message) }
      end

      # A message in no order is its own sub key; its payload is nothing for a log.
      def stats
        super.tap do |stats|
          stats[:partitions].each_value { |row| row[:oldest_sub_key] = nil if row[:oldest_sub_key].is_a?(Message) }
        end
      end

      private

      def work_with(handler)
        errors = @sub_key_errors
        lambda do |message, _partition, _offset|
          raise errors.delete(message) if !errors.empty? && errors.key?(message)

          handler.call(message)
        end
      end
    end

    private_constant :Pool
  end
end
