# frozen_string_literal: true

module WorkShaper
  class Batches
    # A manager whose work is more than the user's block: only that has a time limit.
    class Pool < Manager
      # What failed is up to the framework, whatever the environment says.
      def initialize(**settings)
        super(attempts: 1, **settings)
      end

      public :limited

      private

      def limit_work(work)
        work
      end

      # Where there was no attempt, there is nothing to tell.
      def tell_attempt(row)
        _, batch, index, = row
        super unless batch.left_out?(index)
      end

      # The message knows where it comes from; what becomes of one that failed is up to the framework.
      def tell(event, message, _batch, _index)
        events.publish(event) { { message: message, **yield } } unless event == :give_up
      end
    end

    private_constant :Pool
  end
end
