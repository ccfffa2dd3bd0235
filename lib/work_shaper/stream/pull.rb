# frozen_string_literal: true

module WorkShaper
  class Stream
    # Reads a source for {Stream#next}: as far as there is room, whenever a result is wanted.
    #
    # @private
    class Pull
      def initialize(source, pools)
        @inputs = source.respond_to?(:each) ? source.to_enum(:each) : source
        @pools = pools
        @first = pools.first
        @last = pools.last
      end

      # @return [Array, nil, false] the same as {Pool#take}
      def take(timeout)
        deadline = timeout && (Clock.now + timeout)
        loop do
          fill(deadline)
          result = readable?(deadline) ? @last.take(left(deadline), @first) : take_before_the_queue(deadline)
          return result unless result == true
        end
      end

      private

      # What was read may be skipped: then there is room again, and nothing came.
      def fill(deadline)
        while @first.room? && !@first.closed? && readable?(deadline)
          input = next_input
          next @first.close unless input
          break unless @first.feed(input.first, @last)
        end
      rescue StandardError => e
        raise if @first.failed?

        @first.end_with(e)
      end

      def next_input
        return (input = @inputs.pop).nil? ? nil : [input] unless @inputs.is_a?(Enumerator)

        [@inputs.next]
      rescue StopIteration
        nil
      end

      # Whether reading on does not keep the thread from what it is to hear of meanwhile.
      def readable?(deadline)
        return true unless @inputs.is_a?(Thread::Queue) && @inputs.empty? && !@inputs.closed?

        deadline.nil? && @pools.all?(&:empty?)
      end

      # Returns true when the queue is to be looked at again.
      def take_before_the_queue(deadline)
        left = left(deadline)
        result = @last.take([left, Feed::LOOK_AGAIN].compact.min, nil)
        result == false && left != 0 ? true : result
      end

      def left(deadline)
        deadline && [deadline - Clock.now, 0].max
      end
    end

    private_constant :Pull
  end
end
