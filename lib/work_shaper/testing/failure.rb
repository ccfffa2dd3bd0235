# frozen_string_literal: true

module WorkShaper
  module Testing
    # A failure whose message belongs to a session: what the extension knows of others is known here.
    #
    # @private
    class Failure < WorkShaper::Failure
      # What becomes of its message once a dead letter is confirmed, or not.
      attr_accessor :answer

      def initialize(item, clock)
        super(message: item.message, partition: item.partition, offset: item.offset, error: nil, attempts: 0,
              first_failed_at: nil)
        @item = item
        @clock = clock
      end

      def failed(...)
        @first_failed_at ||= @clock.now
        super
      end

      def over?
        @item.over
      end

      def give_up!
        @giving_up = true
        self
      end

      def giving_up?
        @giving_up == true
      end

      def probe?
        @item.probe
      end

      def sub_key_id
        @item.sub_key.id
      end

      # As that of any other.
      def inspect
        super.sub(self.class.name, WorkShaper::Failure.name)
      end
    end
  end
end
