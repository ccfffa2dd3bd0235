# frozen_string_literal: true

module WorkShaper
  class Stream
    # Reads a source into the first of some pools, on the thread that calls, and yields what comes out of the last.
    #
    # @private
    class Feed
      # What ends the reading thread whatever comes before it: it is not the source's.
      AT_ONCE = [*Guard::FATAL, *(::Timeout::Error if defined?(::Timeout::Error))].freeze
      # Seconds after which a queue is looked at again while results are to come.
      LOOK_AGAIN = 0.01
      private_constant :AT_ONCE

      def initialize(source, pools)
        @source = source
        @pools = pools
        @first = pools.first
        @last = pools.last
      end

      # Reads until the source ends, or nothing more need be read. What the source raises is raised at its place.
      def each(&block)
        if @source.respond_to?(:each) then @first.feed_each(@source, @last, &block)
        elsif @source.is_a?(Thread::Queue) then feed_queued(&block)
        else
          feed_popped(&block)
        end
        @first.close
      rescue *AT_ONCE
        raise
      rescue Exception => e # rubocop:disable Lint/RescueException -- whatever it is, it comes out
        raise unless @first.reading?

        @first.end_with(Outcomes.presentable(e))
      end

      private

      def feed_popped(&block)
        until (input = @source.pop).nil?
          break unless @first.feed(input, @last, &block)
        end
      end

      # While results are to come the thread cannot wait for the queue alone.
      def feed_queued(&block)
        loop do
          input = pop_or_deliver(&block)
          break if input.nil? || !@first.feed(input, @last, &block)
        end
      end

      def pop_or_deliver
        loop do
          return @source.pop if @pools.all?(&:empty?) || @source.closed?

          begin
            return @source.pop(true)
          rescue ThreadError # it is empty
            result = @last.take(LOOK_AGAIN, nil)
          end
          yield result.first if result
        end
      end
    end

    private_constant :Feed
  end
end
