# frozen_string_literal: true

module WorkShaper
  class Consumer
    # A manager that is fed by the poll loop, which keeps to the limits itself and waits only as long as it says.
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

      # Enqueues messages without checking the limits. An error in finding a sub key counts as the message's failure: it
      # is raised where the message's work would be done.
      def feed(messages)
        super(messages, @sub_key, @sub_key_errors)
      end

      def revoke(partition)
        super.each { |_sub_key, message, *| @sub_key_errors.delete(message) }
      end

      # A message whose sub key is nil is its own sub key; its payload does not belong in a log.
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
