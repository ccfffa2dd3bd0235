# frozen_string_literal: true

module WorkShaper
  class Consumer
    # How a message is worked on: by the user's block, inside what it runs in; and what becomes of one whose sub key
    # cannot be found. For a pool, which has `limited`, `@sub_key` and the Hash `@sub_key_errors`.
    #
    # @private
    module Handling
      private

      # Only the block has a time limit, not what it runs inside.
      def handler(block, around)
        work = limited(block)
        around ? ->(message) { around.call(message) { work.call(message) } } : work
      end

      def work_on(message)
        return @handler.call(message) unless !@sub_key_errors.empty? && @sub_key_errors.key?(message)

        find_sub_key(message)
        @handler.call(message)
        @sub_key_errors.delete(message)
      end

      def find_sub_key(message)
        error = @sub_key_errors[message]
        @sub_key_errors[message] = nil
        error ? raise(error) : @sub_key.call(message)
      end
    end

    private_constant :Handling
  end
end
